/** Hands a text, or a file of the server, to the person as a file. */
export function download(name: string, contents: string | Blob): void {
  const file =
    typeof contents === 'string' ? new Blob([contents], { type: 'application/json' }) : contents;
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has taken it by the next turn of the loop.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}
