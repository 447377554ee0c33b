import { clock } from '../../i18n/i18n';
import { isRecordingKey, r } from '../../i18n/recording/texts';
import { megabytes, number } from '../../i18n/texts';
import type { RecordingFile, RecordingLack } from '../../lib';
import { fileKey, lackSpan } from '../../lib';
import { Button } from '../components';
import { Icon } from '../icons';

/** The files one by one: what each is, how far it is, and how to get it. */
export function Files(props: {
  files: readonly RecordingFile[];
  shown: string | null;
  onPlay: (file: RecordingFile) => void;
}) {
  return (
    <section class="card stack" aria-labelledby="files" data-testid="files">
      <h2 id="files">{r('files.title')}</h2>
      <ul>
        {props.files.map((file) => (
          <FileRow
            key={fileKey(file)}
            file={file}
            shown={props.shown === fileKey(file)}
            onPlay={() => props.onPlay(file)}
          />
        ))}
      </ul>
    </section>
  );
}

function FileRow(props: { file: RecordingFile; shown: boolean; onPlay: () => void }) {
  const { file } = props;
  const name = fileText(file);
  return (
    <li class="file" data-testid="file" data-state={file.state} data-of={file.of}>
      <Icon name={file.kind === 'audio' ? 'sound' : 'camera'} />
      <span class="file-what">
        <span class="name">{name}</span>
        <span class="quiet">{factsText(file)}</span>
        {file.lacks.map((lack) => (
          <span
            key={`${lack.track} ${lack.from}`}
            class="file-lack"
            data-testid="file-lack"
            data-reason={lack.reason}
          >
            {lackText(file, lack)}
          </span>
        ))}
        {file.state === 'building' && (
          <progress
            max={1000}
            value={file.progress_permille}
            aria-label={`${name}: ${stateText(file)}`}
          />
        )}
      </span>
      {file.url !== null && (
        <span class="row">
          <Button
            label={r(file.kind === 'audio' ? 'files.listen' : 'files.play')}
            about={name}
            icon="play"
            look="small"
            pressed={props.shown}
            testId="play-file"
            onPress={props.onPlay}
          />
          <a
            class="button small"
            href={file.url}
            download={`${name}.${file.container}`.replaceAll('/', '-')}
            data-testid="download-file"
          >
            <Icon name="save" />
            <span>{r('files.download')}</span>
            <span class="visually-hidden">: {name}</span>
          </a>
        </span>
      )}
    </li>
  );
}

/** What a file is of, in words. */
export function fileText(file: RecordingFile): string {
  if (file.of === 'combined') return r('player.combined');
  return trackText(file.name, file.source);
}

function trackText(name: string | null, from: string | null): string {
  const key = `source.${from ?? ''}`;
  const source = r(isRecordingKey(key) ? key : 'source.other');
  return name === null ? source : `${name} · ${source}`;
}

/** Which track is missing, from when to when, and why. */
function lackText(file: RecordingFile, lack: RecordingLack): string {
  const [from, to] = lackSpan(file, lack);
  const key = `lack.${lack.reason}`;
  return r('files.lacks', {
    track: trackText(lack.name, lack.source),
    from: clock(from),
    to: clock(to),
    why: r(isRecordingKey(key) ? key : 'lack.other'),
  });
}

function factsText(file: RecordingFile): string {
  if (file.state !== 'ready') return stateText(file);
  const facts = { length: clock(file.duration_ms), size: megabytes(file.size_bytes) };
  return `${r('files.facts', facts)} · ${file.container.toUpperCase()}`;
}

function stateText(file: RecordingFile): string {
  switch (file.state) {
    case 'building':
      return r('file.building', { percent: number(file.progress_permille / 10) });
    case 'waiting':
      return r('file.waiting');
    case 'failed':
      return r('file.failed');
    case 'erased':
      return r('file.erased');
    case 'ready':
      return '';
  }
}
