/** Outbound: somebody greets visitors. */
export interface Greeter {
  greet(visitorId: string, text: string): Promise<void>;
}
