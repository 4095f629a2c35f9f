/** What may cross a workflow boundary: anything `JSON.stringify` gives back unchanged. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
