/** What every method that does I/O takes. */
export interface CallOptions {
  /** Ends the call early with ERR_HEXKIT_ABORTED. */
  readonly signal?: AbortSignal | undefined;
}
