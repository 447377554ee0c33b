import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { megabytes, number } from '../i18n/texts';
import { v } from '../i18n/verify/texts';
import { ApiError, HeldHeadStore, ProofSource } from '../lib';
import { isUuid, readLink, sessionIn, visits } from '../ui/access';
import { boot } from '../ui/boot';
import { Button, Field, Notice, PageHeader } from '../ui/components';
import { download } from '../ui/download';
import type { Chosen } from '../ui/verify/chosen';
import { chosenOf, droppedOf, kindOf } from '../ui/verify/chosen';
import { proofContinuing } from '../ui/verify/continued';
import { Result } from '../ui/verify/result';
import type { Run } from '../ui/verify/run';
import { Verifier } from '../ui/verify/run';
import { statedHead } from '../verify/stated';
import type { ChosenFile } from '../verify/worker';

type Bytes = Uint8Array<ArrayBuffer>;

const link = readLink();
const source = new ProofSource();
const store = new HeldHeadStore();

/** Where anybody verifies, without an account. */
function Verify() {
  const [session, setSession] = useState(link.sessionId ?? link.session ?? '');
  const [failure, setFailure] = useState('');
  const [run, setRun] = useState<Run>({ phase: 'idle' });
  const [published, setPublished] = useState<Bytes | null | undefined>(undefined);
  /** What was chosen, which may still be read, and the keys that were asked for when the page opened. */
  const own = useRef<Promise<Bytes | null>>(Promise.resolve(null));
  const held = useRef<Promise<readonly Bytes[]>>(Promise.resolve([]));
  const told = useRef<Promise<Bytes | null>>(Promise.resolve(null));
  const [proven, setProven] = useState<{ session: string; head: string } | null>(null);
  const [verifier] = useState(() => new Verifier(setRun));
  const visited = visits();

  /** Counts what was asked for: what an earlier one finds is of no interest any more. */
  const asked = useRef(0);
  const end = (phase: 'idle' | 'cancelled', why = '') => {
    asked.current += 1;
    verifier.cancel();
    setRun({ phase });
    setFailure(why);
  };
  const begin = () => {
    end('idle');
    setProven(null);
    setRun({ phase: 'running', progress: null, bytesPerSecond: null });
    const mine = asked.current;
    return () => mine === asked.current;
  };

  const verifySession = async (text: string) => {
    const id = sessionIn(text);
    if (id === null) {
      end('idle', v('session.invalid'));
      return;
    }
    const isWanted = begin();
    try {
      const mine = await own.current;
      const keys = mine ?? (await source.keys());
      if (mine === null) setPublished(keys);
      const all = [...(await held.current), ...keptOf(id)];
      const proof = await proofContinuing(source, id, all);
      if (!isWanted()) return;
      const report = await verifier.run({ proof, trusted: keys, held: all });
      const head = report === null ? null : statedHead(proof);
      if (head === null) return;
      // Nothing false is taken for known; what contradicts is kept as evidence.
      if (report?.verdict === 'valid') store.keep(id, head.cose);
      else if (report?.verdict === 'invalid') store.keepConflict(id, head.cose);
      setProven({ session: id, head: head.cose });
    } catch (error) {
      if (!isWanted()) return;
      const missing = error instanceof ApiError && error.status === 404;
      end('idle', v(missing ? 'session.missing' : 'session.network'));
    }
  };
  const verifyFiles = async (files: readonly ChosenFile[]) => {
    if (files.length === 0) return;
    const isWanted = begin();
    const chosen = await kindOf(files).catch((): Chosen => ({ kind: 'broken' }));
    if (!isWanted()) return;
    switch (chosen.kind) {
      case 'bundle':
      case 'proof': {
        const trusted = (await own.current) ?? (await told.current);
        const given = { trusted, held: await held.current };
        if (!isWanted()) return;
        if (chosen.kind === 'bundle') await verifier.run({ files: chosen.files, ...given });
        else await verifier.run({ proof: chosen.bytes, ...given });
        return;
      }
      case 'heads':
        // A saved head says nothing alone: the record of its session must continue it.
        held.current = Promise.resolve([chosen.bytes]);
        setSession(chosen.session);
        await verifySession(chosen.session);
        return;
      case 'broken':
      case 'other':
        end('idle', v(chosen.kind === 'broken' ? 'bundle.broken' : 'bundle.none'));
    }
  };

  useEffect(() => {
    told.current = source.keys().catch(() => null);
    void told.current.then(setPublished);
    if (session !== '' && isUuid(session)) void verifySession(session);
  }, []);
  useLayoutEffect(() => {
    if (run.phase === 'done') document.getElementById('verdict')?.focus();
  }, [run.phase]);

  return (
    <main class="page stack" data-testid="verify">
      <PageHeader title={v('title')} />
      <p>{v('intro')}</p>
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          void verifySession(session);
        }}
      >
        <h2>{v('session.title')}</h2>
        <Field label={v('session.label')}>
          <input
            data-testid="session-input"
            value={session}
            spellcheck={false}
            autoComplete="off"
            onInput={(event) => setSession(event.currentTarget.value)}
          />
        </Field>
        <Button label={v('session.go')} look="main" type="submit" testId="verify-session" />
        {visited.length > 0 && (
          <div>
            <h3>{v('session.recent')}</h3>
            <ul class="recent">
              {visited.map((visit) => (
                <li key={visit.id}>
                  <Button
                    label={visit.title}
                    look="small"
                    testId={`verify-${visit.id}`}
                    onPress={() => {
                      setSession(visit.id);
                      void verifySession(visit.id);
                    }}
                  />
                </li>
              ))}
            </ul>
          </div>
        )}
      </form>
      <Bundle onFiles={(files) => void verifyFiles(files)} />
      <details class="card">
        <summary>{v('more.title')}</summary>
        <div class="stack">
          <FileField
            label={v('more.keys')}
            hint={v(published === null ? 'more.noKeys' : 'more.keysWhy')}
            testId="trusted-input"
            onFile={(bytes) => (own.current = bytes)}
          />
          <FileField
            label={v('more.held')}
            hint={v('more.heldWhy')}
            testId="held-input"
            onFile={(bytes) => {
              held.current = bytes.then((one) => (one === null ? [] : [one]));
            }}
          />
        </div>
      </details>
      {failure !== '' && (
        <Notice look="danger" testId="verify-failure">
          <p>{failure}</p>
        </Notice>
      )}
      <Running run={run} onCancel={() => end('cancelled')} />
      {run.phase === 'done' && (
        <Result
          report={run.report}
          bytesPerSecond={run.bytesPerSecond}
          kept={proven !== null && run.report.verdict === 'valid'}
          onSave={
            proven === null
              ? null
              : () => {
                  const heads = { v: 1, session: proven.session, heads: [proven.head] };
                  const file = store.file(proven.session) ?? JSON.stringify(heads);
                  download(`cabildo-heads-${proven.session}.json`, file);
                }
          }
        />
      )}
    </main>
  );
}

/** The head that this browser has kept of a session, as a file of saved heads. */
function keptOf(id: string): Bytes[] {
  const known = store.of(id);
  if (known === null) return [];
  const file = JSON.stringify({ v: 1, session: id, heads: [known.newest] });
  return [new TextEncoder().encode(file)];
}

function Bundle({ onFiles }: { onFiles: (files: readonly ChosenFile[]) => void }) {
  const [over, setOver] = useState(false);
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), []);
  const take = (input: HTMLInputElement) => {
    onFiles(chosenOf(input.files));
    // The same folder can be chosen again after it was changed.
    input.value = '';
  };
  return (
    <section
      class={`card stack drop ${over ? 'over' : ''}`}
      aria-labelledby="bundle"
      data-testid="drop"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer !== null) void droppedOf(event.dataTransfer).then(onFiles);
      }}
    >
      <h2 id="bundle">{v('bundle.title')}</h2>
      <p class="quiet">{v(over ? 'bundle.drop' : 'bundle.hint')}</p>
      <div class="row">
        <Button label={v('bundle.folder')} icon="folder" onPress={() => folder.current?.click()} />
        <Button label={v('bundle.files')} icon="copy" onPress={() => files.current?.click()} />
      </div>
      <input
        ref={folder}
        type="file"
        hidden
        data-testid="folder-input"
        onChange={(event) => take(event.currentTarget)}
      />
      <input
        ref={files}
        type="file"
        multiple
        hidden
        data-testid="files-input"
        onChange={(event) => take(event.currentTarget)}
      />
    </section>
  );
}

function FileField(props: {
  label: string;
  hint: string;
  testId: string;
  /** Is given what stands in the file; `null` when none is chosen any more, or it can't be read. */
  onFile: (bytes: Promise<Bytes | null>) => void;
}) {
  return (
    <Field label={props.label}>
      <input
        type="file"
        accept=".json,application/json"
        data-testid={props.testId}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          const bytes = file?.arrayBuffer().then((read) => new Uint8Array(read));
          props.onFile(bytes?.catch(() => null) ?? Promise.resolve(null));
        }}
      />
      <span class="quiet">{props.hint}</span>
    </Field>
  );
}

function Running({ run, onCancel }: { run: Run; onCancel: () => void }) {
  if (run.phase === 'cancelled') return <p role="status">{v('run.cancelled')}</p>;
  if (run.phase === 'failed') {
    return (
      <Notice look="danger" testId="verify-failure">
        <p>{v('run.failed')}</p>
        <p class="quiet" lang="en">
          {run.detail}
        </p>
      </Notice>
    );
  }
  if (run.phase !== 'running') return null;
  const { progress } = run;
  const percent = progress === null ? 0 : (progress.done / Math.max(1, progress.total)) * 100;
  return (
    <div class="card stack" data-testid="running">
      <p id="progress">{progressText(run)}</p>
      <progress
        aria-labelledby="progress"
        max={100}
        {...(progress === null ? {} : { value: percent })}
      />
      <Button label={v('run.cancel')} testId="cancel" onPress={onCancel} />
    </div>
  );
}

function progressText(run: Extract<Run, { phase: 'running' }>): string {
  const { progress } = run;
  if (progress === null) return v('run.reading');
  const { done, total } = progress;
  switch (progress.phase) {
    case 'entries':
      return v('run.entries', { done: number(done), total: number(total) });
    case 'heads':
      return v('run.heads', { percent: number((done / Math.max(1, total)) * 100) });
    case 'objects':
      return v('run.objects', {
        done: megabytes(done),
        total: megabytes(total),
        speed: megabytes(run.bytesPerSecond ?? 0),
      });
  }
}

void boot(<Verify />);
