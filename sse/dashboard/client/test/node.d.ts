// The little of Node that the tests use; the package itself knows nothing of it.
declare module 'node:fs/promises' {
  export function readFile(path: URL): Promise<Uint8Array & { toString(): string; subarray(from: number, to: number): Uint8Array }>
}
interface ImportMeta {
  url: string
}
