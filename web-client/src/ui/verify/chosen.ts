import { partAt } from '../../verify/parts';
import type { ChosenFile } from '../../verify/worker';
import { BrokenArchive, unpacked } from './archive';

/** More files than any bundle has. */
const MOST_FILES = 2_000_000;

/** Files of an input, with the folder that was chosen where the browser tells it. */
export function chosenOf(list: FileList | null): ChosenFile[] {
  return [...(list ?? [])].map((file) => ({
    path: file.webkitRelativePath === '' ? file.name : file.webkitRelativePath,
    file,
  }));
}

/** Everything that was dropped, folders to their depths. */
export async function droppedOf(transfer: DataTransfer): Promise<ChosenFile[]> {
  // Entries must be taken at once: the list is emptied when the event is over.
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return chosenOf(transfer.files);
  const found: ChosenFile[] = [];
  const waiting = entries.map((entry) => ({ entry, path: entry.name }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { entry, path } = next;
    if (found.length > MOST_FILES) throw new Error('too many files');
    if (entry.isFile) {
      found.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
    } else {
      for (const inside of await entriesOf(entry as FileSystemDirectoryEntry)) {
        waiting.push({ entry: inside, path: `${path}/${inside.name}` });
      }
    }
  }
  return found;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A reader gives a hundred at a time, and none when it has given all. */
async function entriesOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** Whether a bundle is among some files. */
export function hasBundle(files: readonly ChosenFile[]): boolean {
  return files.some(({ path }) => path === 'bundle.json' || path.endsWith('/bundle.json'));
}

/** Larger than any proof or list of heads. */
const JSON_MAX = 64 * 1024 * 1024;

/** What somebody chose to have checked. */
export type Chosen =
  | { readonly kind: 'bundle'; readonly files: readonly ChosenFile[] }
  | { readonly kind: 'proof'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'heads'; readonly bytes: Uint8Array<ArrayBuffer>; readonly session: string }
  | { readonly kind: 'broken' }
  | { readonly kind: 'other' };

/** Tells a bundle, packed or not, a public proof and saved heads from everything else. */
export async function kindOf(files: readonly ChosenFile[]): Promise<Chosen> {
  const [only] = files;
  if (only === undefined) return { kind: 'other' };
  if (files.length === 1) {
    try {
      const inside = await unpacked(only.file);
      if (inside !== null) return await bundleOf(inside);
    } catch (error) {
      if (error instanceof BrokenArchive) return { kind: 'broken' };
      throw error;
    }
    const single = await singleOf(only);
    if (single !== null) return single;
  }
  return bundleOf(files);
}

/** A bundle has its own first file, or so much else that only this one is damaged or missing. */
async function bundleOf(files: readonly ChosenFile[]): Promise<Chosen> {
  const parts = files.filter(({ path }) => partAt(path) !== null);
  const first = parts.find((part) => hasBundle([part]));
  const document = first === undefined ? null : await readJson(first.file);
  const isOne = typeof document?.kind === 'string' || parts.some((part) => !hasBundle([part]));
  return isOne ? { kind: 'bundle', files } : { kind: 'other' };
}

/** A file alone; not one of a folder, which is a bundle of which all else is missing. */
async function singleOf({ path, file }: ChosenFile): Promise<Chosen | null> {
  const isOfFolder = path.includes('/');
  const document = await readJson(file);
  if (document === null) return isOfFolder ? null : { kind: 'other' };
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (Array.isArray(document.heads) && typeof document.session === 'string') {
    return { kind: 'heads', bytes, session: document.session };
  }
  const isFirst = hasBundle([{ path, file }]);
  if (typeof document.head === 'object' && !(isFirst && isOfFolder)) {
    return { kind: 'proof', bytes };
  }
  return isFirst ? null : { kind: 'other' };
}

async function readJson(file: File): Promise<Partial<Record<string, unknown>> | null> {
  if (file.size > JSON_MAX) return null;
  try {
    const value: unknown = JSON.parse(await file.text());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
