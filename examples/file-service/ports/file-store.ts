/** What the core needs: somewhere to keep files. In the domain's words, whatever is behind it. */
export interface FileStore {
  /** Keeps a file, replacing an older one. The content is read as it comes, of whatever size. */
  keep(name: string, type: string, content: AsyncIterable<Uint8Array>): Promise<KeptFile>;
  /** `undefined` if there is no such file. */
  open(name: string): Promise<OpenFile | undefined>;
  list(): AsyncIterable<{ readonly name: string; readonly bytes: number }>;
  /** A missing file is no error. */
  remove(name: string): Promise<void>;
  /** A link by which anyone can download the file for a while; `undefined` if there is no such file. */
  share(name: string, forMs: number): Promise<string | undefined>;
}

export interface KeptFile {
  readonly name: string;
  readonly bytes: number;
}

export interface OpenFile {
  readonly type: string;
  readonly bytes: number;
  /** To be read or destroyed: until then it holds a connection. */
  readonly content: NodeJS.ReadableStream & AsyncIterable<Uint8Array>;
}
