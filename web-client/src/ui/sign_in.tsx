import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { TokenSource } from '../lib';
import { ApiError, SignInRequired, forgetVisits, tabKeeping } from '../lib';
import { Button, Notice, failureText, showFailure } from './components';

/** Whether signing in is what helps. */
export function isAboutSignIn(error: unknown): boolean {
  return (
    error instanceof SignInRequired ||
    (error instanceof ApiError && (error.code.startsWith('SIGN_IN_') || error.status === 401))
  );
}

/** The button for signing in, and the way out while a window is waited for. */
export function SignInButton(props: {
  tokens: TokenSource;
  way: 'page' | 'window';
  testId: string;
  onSignedIn: () => void;
}) {
  const [waits, setWaits] = useState(false);
  const visit = useRef<AbortController | null>(null);
  // Nobody waits for a window on a page that shows something else.
  useEffect(() => () => visit.current?.abort(), []);
  const signIn = () => {
    forgetVisits();
    const begun = new AbortController();
    visit.current = begun;
    setWaits(true);
    const signing = props.tokens.signIn?.(props.way, begun.signal) ?? Promise.resolve();
    signing
      .then(props.onSignedIn)
      .catch((failure: unknown) => {
        const given = failure instanceof ApiError && failure.code === 'SIGN_IN_CANCELLED';
        if (!given && !(failure instanceof SignInRequired)) showFailure(failure);
      })
      .finally(() => setWaits(false));
  };
  if (!waits || props.way === 'page') {
    return (
      <Button
        label={t('signIn.title')}
        look="main small"
        testId={props.testId}
        disabled={waits}
        onPress={signIn}
      />
    );
  }
  return (
    <span class="row">
      <span role="status" data-testid={`${props.testId}-waits`}>
        {t('signIn.waits')}
      </span>
      <Button
        label={t('common.cancel')}
        look="small"
        testId={`${props.testId}-cancel`}
        onPress={() => visit.current?.abort()}
      />
    </span>
  );
}

/** Why a page could not read what it shows; nothing while there is no failure. */
export function ReadFailure(props: { error: unknown; tokens: TokenSource | null; testId: string }) {
  if (props.error === null) return null;
  return <Failure {...props} onSignedIn={() => location.reload()} />;
}

/** What went wrong, with a button to sign in where that helps. */
export function Failure(props: {
  error: unknown;
  tokens: TokenSource | null;
  testId?: string;
  onSignedIn: () => void;
}) {
  const { error, tokens } = props;
  return (
    <Notice look="danger" {...(props.testId === undefined ? {} : { testId: props.testId })}>
      <p>{failureText(error)}</p>
      {tokens?.signIn !== undefined && isAboutSignIn(error) && (
        // Without storage, what a visit began would be forgotten when the page is left.
        <SignInButton
          tokens={tokens}
          way={tabKeeping().lasts ? 'page' : 'window'}
          testId="sign-in"
          onSignedIn={props.onSignedIn}
        />
      )}
    </Notice>
  );
}
