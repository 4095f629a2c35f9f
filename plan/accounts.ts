/** Types of a parsed accounts file; the schema and loader stand below. */
export interface Account {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  /** Huawei's project id; empty at clouds without one. */
  readonly projectId: string;
  readonly credentials: CredentialsSource;
  /** Base URL per service family (`ges`, `elasticsearch`), overriding the region table. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Plain http beyond loopback is refused unless this is set. */
  readonly allowPlainHttp: boolean;
  /** Calls per second. */
  readonly rates: { readonly reads: number; readonly writes: number };
  /** The most upgrades in flight in this account. */
  readonly concurrency: number;
}

export type CredentialsSource =
  | { readonly kind: 'env'; readonly prefix: string }
  | { readonly kind: 'file'; readonly path: string };
