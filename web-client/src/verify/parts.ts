/** A part of a bundle: its folder and its name there. */
const PART = /^(|.*\/)(bundle\.json|(?:entries|heads)\.cborseq|objects\/[0-9a-f-]{36}\/\d+)$/;

/** The folder of the bundle and the name in it of a file that is called as parts of bundles are. */
export function partAt(path: string): { readonly root: string; readonly name: string } | null {
  const [, root, name] = PART.exec(path) ?? [];
  return root === undefined || name === undefined ? null : { root, name };
}
