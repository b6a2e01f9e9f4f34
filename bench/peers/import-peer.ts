/** `import(name)` as a module of this folder sees it: only the peers installed here are found. */
export function importPeer(name: string): Promise<unknown> {
  return import(name);
}
