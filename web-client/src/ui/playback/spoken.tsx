import { useEffect, useMemo, useState } from 'preact/hooks';
import { exactTimeOfDay } from '../../i18n/texts';
import { r } from '../../i18n/recording/texts';
import type { ApiClient, TranscriptPiece } from '../../lib';
import {
  lastBegun,
  partAround,
  partsFound,
  piecesFound,
  readTranscript,
  speakerOf,
} from '../../lib';
import { Button, Field, Notice } from '../components';
import { useFollowing } from '../hooks';
import { announce } from '../live_regions';

/** What was said, to read and search; whatever is chosen is sought when there is a video. */
export function Spoken(props: {
  api: ApiClient;
  session: string;
  /** The state of the recording: what is read while the session runs is not all. */
  state: string;
  /** Where the player is, ms since 1970. */
  atMs: number;
  /** Null without anything to play. */
  onSeek: ((at: string) => void) | null;
}) {
  const { api, session } = props;
  const [pieces, setPieces] = useState<readonly TranscriptPiece[] | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let stopped = false;
    readTranscript(api, session).then(
      (read) => {
        if (stopped) return;
        setPieces(read);
        setFailed(false);
      },
      () => !stopped && setFailed(true),
    );
    return () => {
      stopped = true;
    };
  }, [props.state]);
  if (failed && pieces === null)
    return (
      <Notice look="warn" testId="spoken-failed">
        <p>{r('spoken.failed')}</p>
      </Notice>
    );
  // Most sessions are not transcribed, and have nothing to say about it.
  if (pieces === null || pieces.length === 0) return null;
  return <Pieces {...props} pieces={pieces} />;
}

function Pieces(props: {
  pieces: readonly TranscriptPiece[];
  atMs: number;
  onSeek: ((at: string) => void) | null;
}) {
  const { pieces, onSeek } = props;
  const [search, setSearch] = useState('');
  const [chosen, setChosen] = useState<number | null>(null);
  const found = useMemo(() => piecesFound(pieces, search), [pieces, search]);
  const isSearching = search.trim() !== '';
  const picked = found.findIndex(({ seq }) => seq === chosen);
  // A search shows what was chosen; otherwise the list follows what is heard.
  const at = isSearching || onSeek === null ? picked : lastBegun(found, props.atMs);
  const shown = useMemo(() => partAround(found, at), [found, at]);
  const now = found[at]?.seq;
  const choose = (piece: TranscriptPiece) => {
    setChosen(piece.seq);
    onSeek?.(piece.from);
  };
  const step = (by: number) => {
    const next = found[picked < 0 && by < 0 ? found.length - 1 : picked + by];
    if (next === undefined) return;
    choose(next);
    announce(`${speakerOf(next)}: ${next.text ?? r('spoken.gap')}`);
  };
  return (
    <section class="card stack" aria-labelledby="spoken" data-testid="spoken">
      <h2 id="spoken">{r('spoken.title')}</h2>
      <form
        class="spoken-tools"
        onSubmit={(event) => {
          event.preventDefault();
          step(1);
        }}
      >
        <Field label={r('spoken.search')}>
          <input
            type="search"
            data-testid="spoken-search"
            value={search}
            onInput={(event) => {
              setSearch(event.currentTarget.value);
              setChosen(null);
            }}
          />
        </Field>
        <Button
          label={r('spoken.before')}
          disabled={!isSearching || found.length === 0}
          testId="spoken-before"
          onPress={() => step(-1)}
        />
        <Button
          label={r('spoken.next')}
          type="submit"
          disabled={!isSearching || found.length === 0}
          testId="spoken-next"
        />
      </form>
      <p class="quiet" role="status" data-testid="spoken-count">
        {found.length === 0 ? r('line.nothing') : r('spoken.count', { count: found.length })}
        {shown.length < found.length &&
          ` · ${r('spoken.part', { shown: shown.length, count: found.length })}`}
      </p>
      <Rows
        pieces={shown}
        search={search}
        now={now}
        chosen={chosen}
        onChoose={onSeek === null ? null : choose}
      />
    </section>
  );
}

function Rows(props: {
  pieces: readonly TranscriptPiece[];
  search: string;
  /** The piece that is played or was chosen. */
  now: number | undefined;
  chosen: number | null;
  onChoose: ((piece: TranscriptPiece) => void) | null;
}) {
  const { pieces, search, now, onChoose } = props;
  const current = pieces.findIndex(({ seq }) => seq === now);
  const list = useFollowing<HTMLOListElement>(current, [now, props.chosen]);
  return (
    <ol class="line-items" ref={list} tabIndex={0} aria-label={r('spoken.title')}>
      {pieces.map((piece) => {
        const row = <Row piece={piece} search={search} />;
        const current = piece.seq === now ? 'true' : undefined;
        return (
          <li key={piece.seq} data-testid="spoken-piece" data-seq={piece.seq}>
            {onChoose === null ? (
              <div class="line-item" aria-current={current}>
                {row}
              </div>
            ) : (
              <button
                type="button"
                class="line-item"
                aria-current={current}
                onClick={() => onChoose(piece)}
              >
                {row}
              </button>
            )}
          </li>
        );
      })}
    </ol>
  );
}

function Row({ piece, search }: { piece: TranscriptPiece; search: string }) {
  const { text, corrections } = piece;
  return (
    <>
      <span class="line-time">{exactTimeOfDay(Date.parse(piece.from))}</span>
      <span class="line-what">
        <strong class="name">
          <Marked text={speakerOf(piece)} search={search} />:
        </strong>{' '}
        <span lang={piece.language ?? undefined}>
          {text === null ? r('spoken.gap') : <Marked text={text} search={search} />}
        </span>
        {corrections.length > 0 && <span class="badge">{r('spoken.corrected')}</span>}
      </span>
    </>
  );
}

function Marked({ text, search }: { text: string; search: string }) {
  return (
    <>
      {partsFound(text, search).map((part, at) =>
        part.found ? <mark key={at}>{part.text}</mark> : part.text,
      )}
    </>
  );
}
