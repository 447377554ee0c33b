import encodeQR from 'qr';
import { useMemo } from 'preact/hooks';
import { d } from '../../i18n/desk';
import { t } from '../../i18n/i18n';
import type { BookEntry } from '../../lib';
import { badgeText } from '../../lib';
import { unitsText } from '../attendance';

/** Modules of quiet around a code, as ISO/IEC 18004 wants for reading from any side. */
const QUIET = 4;

/** A code as one path: it is sharp at every size and needs no inline style. */
function QrCode({ text, name }: { text: string; name: string }) {
  const { path, size } = useMemo(() => {
    const rows = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET });
    const cells = rows.flatMap((row, y) =>
      row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')),
    );
    return { path: cells.join(''), size: rows.length };
  }, [text]);
  return (
    <svg
      class="badge-code"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={name}
      shapeRendering="crispEdges"
      data-testid="badge-code"
      data-text={text}
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

/** The badge of a person: what is seen here is all that is printed of the page. */
export function Badge(props: { session: string; title: string; entry: BookEntry }) {
  const { session, title, entry } = props;
  return (
    <div class="badge-card" data-testid="badge" data-user={entry.user_id}>
      <div class="badge-words">
        <div class="badge-title">{title}</div>
        <div class="badge-name">{entry.name}</div>
        <div>{unitsText(entry)}</div>
        {entry.represents.length > 0 && (
          <div>{t('attendance.represents', { units: entry.represents.join(', ') })}</div>
        )}
      </div>
      <QrCode
        text={badgeText(session, entry.user_id)}
        name={d('badge.code', { name: entry.name })}
      />
    </div>
  );
}
