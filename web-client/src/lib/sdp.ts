/** The sections (by `mid`) that the writer of an answer refuses: their media line has port 0. */
export function refusedSections(answer: string): ReadonlySet<string> {
  const refused = new Set<string>();
  for (const section of answer.split(/^m=/m).slice(1)) {
    const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
    if (mid !== undefined && /^\S+ 0 /.test(section)) refused.add(mid);
  }
  return refused;
}

/**
 * Asks for in-band error correction and discontinuous transmission (RFC 7587
 * §6.1) in every Opus format of a description. In the description of the other
 * side these say how we may send.
 */
export function withOpusOptions(sdp: string): string {
  const opus = new Set(
    [...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map(([, type]) => type ?? ''),
  );
  const lines = sdp.split('\r\n');
  for (const type of opus) {
    const at = lines.findIndex((line) => line.startsWith(`a=fmtp:${type} `));
    if (at >= 0) {
      lines[at] = withParameters(lines[at] ?? '', { useinbandfec: '1', usedtx: '1' });
    } else {
      const map = lines.findIndex((line) => line.startsWith(`a=rtpmap:${type} `));
      lines.splice(map + 1, 0, `a=fmtp:${type} useinbandfec=1;usedtx=1`);
    }
  }
  return lines.join('\r\n');
}

function withParameters(line: string, parameters: Readonly<Record<string, string>>): string {
  const at = line.indexOf(' ');
  const kept = line
    .slice(at + 1)
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one !== '' && !((one.split('=')[0] ?? '') in parameters));
  const added = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return `${line.slice(0, at)} ${[...kept, ...added].join(';')}`;
}
