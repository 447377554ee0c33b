import { e, leftOutText, refusedText } from '../i18n/eligible_list';
import type { EligibleListView } from '../generated/wire';
import { Notice } from './components';

/** What of the eligible list does not hold, for moderators. */
export function EligibleList({ list }: { list: EligibleListView }) {
  const { refused, delegations_left_out: leftOut, delegations_left_out_total: count } = list;
  return (
    <>
      {refused !== null && (
        <Notice look="danger" testId="list-refused">
          <p>
            <strong>{refusedText(refused)}</strong>
          </p>
          <p>{e('mend')}</p>
        </Notice>
      )}
      {count > 0 && (
        <Notice look="warn" testId="delegations-left-out">
          <p>
            <strong>{e('title', { count })}</strong>
          </p>
          <ul>
            {leftOut.map((one) => (
              <li key={`${one.unit} ${one.user_id}`}>{leftOutText(one)}</li>
            ))}
          </ul>
          {count > leftOut.length && <p class="quiet">{e('more', { count: leftOut.length })}</p>}
        </Notice>
      )}
    </>
  );
}
