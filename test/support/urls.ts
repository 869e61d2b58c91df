/** The same URL, of another database of the server. */
export function withDatabase(serverUrl: string, name: string): string {
  return Object.assign(new URL(serverUrl), { pathname: `/${name}` }).toString();
}

/** The same URL through a pooler or a proxy on this machine. */
export function urlThrough({ port }: { readonly port: number }, serverUrl: string): string {
  return Object.assign(new URL(serverUrl), { hostname: '127.0.0.1', port: String(port) }).toString();
}
