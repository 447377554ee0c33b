// A page loads one language before it is shown; the tests show all of them.
import { LANGUAGES, loadCatalogue } from '../catalogues';

await Promise.all(LANGUAGES.map(loadCatalogue));
