// Types alone: what may stand in a filter, a sort and an index, read off the DTO.

/** What a path does not go into. */
type Leaf = string | number | boolean | bigint | symbol | null | undefined | Date | Uint8Array | ((...args: never[]) => unknown);
/** What a path goes on from: the elements of an array, the value itself otherwise. */
type Through<Value> = Value extends readonly (infer Element)[] ? Element : Value;
type Nested<Value> = Exclude<Through<NonNullable<Value>>, Leaf | readonly unknown[]>;
type Keys<Value> = Value extends unknown ? keyof Value & string : never;
type Field<Value, Key> = Value extends unknown ? (Key extends keyof Value ? Value[Key] : never) : never;

type Paths1<Value> = Keys<Value>;
type Paths2<Value> = Paths1<Value> | { [Key in Keys<Value>]: `${Key}.${Paths1<Nested<Field<Value, Key>>>}` }[Keys<Value>];
type Paths3<Value> = Paths1<Value> | { [Key in Keys<Value>]: `${Key}.${Paths2<Nested<Field<Value, Key>>>}` }[Keys<Value>];
/** The name of a field, or of one inside it, such as `owner.id`: to depth 3; deeper ones are not checked by type. */
export type FieldPath<Dto> = unknown extends Dto
  ? string
  : Paths3<Dto> | `${Paths3<Dto>}.${number}` | `${Keys<Dto>}.${string}.${string}.${string}.${string}`;

type At1<Value, Path extends string> = Path extends Keys<Value> ? Field<Value, Path> : never;
type At2<Value, Path extends string> =
  Path extends Keys<Value> ? Field<Value, Path> : Path extends `${infer Key}.${infer Rest}` ? At1<Nested<Field<Value, Key>>, Rest> : never;
type At3<Value, Path extends string> =
  Path extends Keys<Value> ? Field<Value, Path> : Path extends `${infer Key}.${infer Rest}` ? At2<Nested<Field<Value, Key>>, Rest> : never;

/** What a field may be compared with: its own type, null (which matches a missing one too), or one element of an array. */
type Operand<Value> = Value extends undefined ? never : Value extends readonly (infer Element)[] ? Value | Element | null : Value | null;

/** `$exists` asks whether the field is there, null included; the rest compares. Several in one object must all hold. */
export interface Operators<Value> {
  readonly $eq?: Value;
  readonly $ne?: Value;
  readonly $gt?: Value;
  readonly $gte?: Value;
  readonly $lt?: Value;
  readonly $lte?: Value;
  readonly $in?: readonly Value[];
  readonly $nin?: readonly Value[];
  readonly $exists?: boolean;
  /** Holds where its operators do not. */
  readonly $not?: Operators<Value>;
}

type Condition<Value> = Value | Operators<Value>;

/**
 * A condition on documents: every entry must hold. A field compares by equality or by operators, as `MongoDB` does: an array matches by one of its
 * elements or as a whole, null matches a missing field, an order exists only between values of one kind. Values are those of the DTO: a UUID is text.
 */
export type Filter<Dto> = unknown extends Dto
  ? { readonly [path: string]: unknown }
  : { readonly [Path in Paths3<Dto>]?: Condition<Operand<At3<Dto, Path>>> } & {
      readonly $and?: readonly Filter<Dto>[];
      readonly $or?: readonly Filter<Dto>[];
      /** Holds where none of its filters does. */
      readonly $nor?: readonly Filter<Dto>[];
    };

type SortName<Dto> = FieldPath<Dto> | `-${FieldPath<Dto>}`;
/** One field or several, `-` before one that descends: `["-created", "name"]`. */
export type SortOf<Dto> = SortName<Dto> | readonly SortName<Dto>[];
