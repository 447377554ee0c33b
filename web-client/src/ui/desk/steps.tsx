import { d } from '../../i18n/desk';
import type { DeskKey } from '../../i18n/desk';
import { errorText, timeOfDay } from '../../i18n/i18n';
import type { Desk, DeskStep } from '../../lib';
import { Button } from '../components';

/** What was done last: each step with its outcome in words, and the way back. */
export function Steps(props: {
  desk: Desk;
  steps: readonly DeskStep[];
  onUndo: (step: DeskStep) => void;
  onRetry: (step: DeskStep) => void;
}) {
  return (
    <section class="card stack" aria-labelledby="steps">
      <h2 id="steps">{d('steps')}</h2>
      {props.steps.length === 0 && <p class="quiet">{d('noSteps')}</p>}
      <ol class="desk-steps" data-testid="desk-steps">
        {props.steps.map((step) => (
          <li
            key={step.id}
            class={step.state}
            data-testid="desk-step"
            data-state={step.state}
            data-user={step.user_id}
          >
            <div class="desk-step-words">
              <strong class="name">{step.name}</strong>
              <span class="quiet">{stepText(step, props.desk.isSuperseded(step))}</span>
              {step.refused !== null && (
                <span class="desk-refused" data-testid="step-refused">
                  {step.state === 'done' && `${d('step.undoFailed')}. `}
                  {errorText(step.refused)}
                </span>
              )}
            </div>
            {step.state === 'failed' && (
              <Button
                label={d('retry')}
                about={step.name}
                look="small"
                testId="step-retry"
                once
                onPress={() => props.onRetry(step)}
              />
            )}
            {props.desk.undoable(step) && (
              <Button
                label={d('undo')}
                name={d('undoName', { name: step.name })}
                look="small"
                testId="step-undo"
                once
                onPress={() => props.onUndo(step)}
              />
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function stepText(step: DeskStep, isSuperseded: boolean): string {
  const time = timeOfDay(new Date(step.atMs).toISOString());
  const done: DeskKey = `step.${step.what}`;
  const words = step.state === 'done' ? [d(done)] : [d(done), d(`step.${step.state}`)];
  if (isSuperseded) words.push(d('step.superseded'));
  else if (step.state === 'done' && !step.changed) words.push(d('step.unchanged'));
  return [time, ...words, ...step.represents].join(' · ');
}
