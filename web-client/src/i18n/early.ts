// Runs before the page's own script has come, so that both are on their way at once.
import { loadCatalogue, wantedLanguage } from './catalogues';

// The page waits for it as well, and fails when it does.
loadCatalogue(wantedLanguage()).catch(() => undefined);
