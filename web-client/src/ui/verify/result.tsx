import { exactTime, megabytes, number } from '../../i18n/texts';
import { v } from '../../i18n/verify/texts';
import type { Report } from '../../verify';
import { isNeeded } from '../../verify/report';
import type { Unchecked } from '../../verify/report';
import { Button } from '../components';
import { download } from '../download';
import type { IconName } from '../icons';
import { Icon } from '../icons';
import { checkedSentences, placeText, uncheckedSentences } from './words';

const ICONS: Readonly<Record<Report['verdict'], IconName>> = {
  valid: 'shieldCheck',
  invalid: 'shieldBroken',
  incomplete: 'shieldPart',
};
/** Revealed texts shown at once; the report file has them all. */
const SHOWN_DISCLOSED = 50;

/** What a verification found, in plain words first. */
export function Result(props: {
  report: Report;
  bytesPerSecond: number | null;
  kept: boolean;
  onSave: (() => void) | null;
}) {
  const { report, onSave } = props;
  const checked = checkedSentences(report);
  const unchecked = uncheckedSentences(report, (what) => isNeeded(what as Unchecked));
  return (
    <section
      class="stack"
      data-testid="report"
      data-verdict={report.verdict}
      aria-labelledby="verdict"
    >
      <div class={`verdict ${report.verdict}`}>
        <Icon name={ICONS[report.verdict]} />
        <div>
          <h2 id="verdict" data-testid="verdict" tabIndex={-1}>
            {v(`verdict.${report.verdict}`)}
          </h2>
          <p>{v(`verdict.${report.verdict}.text`)}</p>
        </div>
      </div>
      <About report={report} bytesPerSecond={props.bytesPerSecond} />
      {report.problems.length > 0 && <Problems report={report} />}
      <div class="card stack">
        <h3>{v('checked')}</h3>
        <ul class="findings" data-testid="checked">
          {checked.map((sentence) => (
            <li key={sentence}>
              <Icon name="check" />
              <span>{sentence}</span>
            </li>
          ))}
        </ul>
      </div>
      <div class="card stack">
        <h3>{v('notChecked')}</h3>
        <ul class="findings open" data-testid="not-checked">
          {unchecked.map((sentence) => (
            <li key={sentence}>
              <Icon name="question" />
              <span>{sentence}</span>
            </li>
          ))}
        </ul>
      </div>
      {report.tracks.length > 0 && <Tracks report={report} />}
      {report.disclosed.length > 0 && <Revealed report={report} />}
      <div class="row">
        {onSave !== null && (
          <Button label={v('save.head')} icon="save" testId="save-head" onPress={onSave} />
        )}
        <Button
          label={v('save.report')}
          icon="save"
          testId="save-report"
          onPress={() =>
            download(`cabildo-report-${report.session ?? ''}.json`, JSON.stringify(report, null, 2))
          }
        />
      </div>
      {props.kept && <p class="quiet">{v('save.kept')}</p>}
    </section>
  );
}

function About({ report, bytesPerSecond }: { report: Report; bytesPerSecond: number | null }) {
  const { head, startedMs, checked } = report;
  const seconds = number(report.elapsedMs / 1000, report.elapsedMs < 10_000 ? 1 : 0);
  return (
    <div class="quiet stack-tight">
      {report.session !== null && (
        <p class="name">{v(`about.${report.kind}`, { session: report.session })}</p>
      )}
      {startedMs !== null && <p>{v('about.started', { when: exactTime(startedMs) })}</p>}
      {head !== null && (
        <p>{v('about.head', { count: head.treeSize, when: exactTime(head.iat * 1000) })}</p>
      )}
      {report.closed && <p>{v('about.closed')}</p>}
      <p>
        {v('about.took', { seconds })}
        {bytesPerSecond !== null && (
          <span data-testid="speed" data-bytes-per-second={Math.round(bytesPerSecond)}>
            {'. '}
            {v('about.speed', {
              size: megabytes(checked.objectBytes ?? 0),
              speed: megabytes(bytesPerSecond),
            })}
          </span>
        )}
      </p>
    </div>
  );
}

function Problems({ report }: { report: Report }) {
  return (
    <div class="card stack wrong">
      <h3>{v('problems')}</h3>
      <ul class="stack" data-testid="problems">
        {report.problems.map((problem, at) => (
          <li key={at} data-code={problem.code}>
            <strong>{v(`code.${problem.code}`)}</strong>
            <p class="name">{placeText(problem.place, report.tracks)}</p>
            <details>
              <summary>{v('detail')}</summary>
              <p class="quiet name" lang="en">
                {problem.code}: {problem.detail}
              </p>
            </details>
          </li>
        ))}
      </ul>
      {report.moreProblems > 0 && <p>{v('moreProblems', { count: report.moreProblems })}</p>}
    </div>
  );
}

function Tracks({ report }: { report: Report }) {
  return (
    <details class="card">
      <summary>
        {v('tracks')} ({number(report.tracks.length)})
      </summary>
      <ul class="stack-tight">
        {report.tracks.map((track) => (
          <li key={track.id}>
            <strong>{v('track.name', { number: number(track.number) })}</strong>{' '}
            {v(`track.${track.media}`)} · {v('track.segments', { count: track.segments })} ·{' '}
            {v('track.gaps', { count: track.gaps })}
            {track.unaccountedMs > 0 &&
              ` · ${v('track.unaccounted', { seconds: number(Math.ceil(track.unaccountedMs / 1000)) })}`}
            {track.erased && ` · ${v('track.erased')}`}
            {track.fromMs !== null && <span class="quiet"> {exactTime(track.fromMs)}</span>}
          </li>
        ))}
      </ul>
    </details>
  );
}

function Revealed({ report }: { report: Report }) {
  return (
    <details class="card">
      <summary>
        {v('disclosed')} ({number(report.disclosed.length)})
      </summary>
      <ul class="stack">
        {report.disclosed.slice(0, SHOWN_DISCLOSED).map(({ kind, entry, text }) => (
          <li key={`${kind}${entry}`}>
            <strong>{v(`disclosed.${kind}`, { entry: number(entry) })}</strong>
            <pre class="disclosed">{text}</pre>
          </li>
        ))}
      </ul>
    </details>
  );
}
