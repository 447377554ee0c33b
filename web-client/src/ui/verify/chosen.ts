import type { ChosenFile } from '../../verify/worker';

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
