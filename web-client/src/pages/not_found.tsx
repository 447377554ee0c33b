import { nf } from '../i18n/not_found';
import { boot } from '../ui/boot';
import { PageHeader } from '../ui/components';

/** What a person sees at an address that is none. */
function NotFound() {
  return (
    <main class="page stack" data-testid="not-found">
      <PageHeader title={nf('title')} />
      <p>{nf('why')}</p>
      <p>{nf('link')}</p>
      <p class="row">
        <a class="button main" href="/" data-testid="not-found-start">
          {nf('start')}
        </a>
        <a class="button" href="/verify">
          {nf('verify')}
        </a>
      </p>
    </main>
  );
}

void boot(<NotFound />);
