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

/** What went wrong, with a button to sign in where that helps. */
export function Failure(props: {
  error: unknown;
  tokens: TokenSource | null;
  testId?: string;
  onSignedIn: () => void;
}) {
  const { error, tokens } = props;
  const signIn = () => {
    forgetVisits();
    // Without storage, what a visit began would be forgotten when the page is left.
    tokens
      ?.signIn?.(tabKeeping().lasts ? 'page' : 'window')
      .then(props.onSignedIn)
      .catch((failure: unknown) => {
        if (!(failure instanceof SignInRequired)) showFailure(failure);
      });
  };
  return (
    <Notice look="danger" {...(props.testId === undefined ? {} : { testId: props.testId })}>
      <p>{failureText(error)}</p>
      {tokens?.signIn !== undefined && isAboutSignIn(error) && (
        <Button label={t('signIn.title')} look="main small" testId="sign-in" onPress={signIn} />
      )}
    </Notice>
  );
}
