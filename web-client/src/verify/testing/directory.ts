import { readFile, readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { BundleFile } from '../bundle';

/** A bundle in a directory of this machine. */
export async function readBundle(directory: string): Promise<BundleFile[]> {
  const names = await readdir(directory, { recursive: true });
  const files: BundleFile[] = [];
  for (const name of names) {
    const full = join(directory, name);
    const about = await stat(full);
    if (!about.isFile()) continue;
    files.push({
      path: relative(directory, full).split(sep).join('/'),
      size: about.size,
      read: async () => new Uint8Array(await readFile(full)),
    });
  }
  return files;
}
