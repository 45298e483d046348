/** An order as it is stored and as it is published; here they are the same. */
export const orderSchema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "customer", "item", "quantity"],
  properties: {
    id: { type: "string", format: "uuid" },
    customer: { type: "string" },
    item: { type: "string" },
    quantity: { type: "integer", minimum: 1 },
  },
} as const;

export const ordersTopic = "orders";
