import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { errorText, language, t } from '../i18n/i18n';
import { ApiClient } from '../lib';
import { boot } from '../ui/boot';
import { Field, Notice, PageHeader, failureText } from '../ui/components';

/** A schema of the description, as far as it is shown. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly example?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Answer {
  readonly description?: string;
  readonly content?: Content;
  readonly headers?: Readonly<
    Record<string, { readonly description?: string; readonly schema?: Schema }>
  >;
}

interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly operationId?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content?: Content };
  readonly responses?: Readonly<Record<string, Answer>>;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

interface Description {
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly securitySchemes?: Readonly<Record<string, { readonly description?: string }>>;
  };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
}

interface Route {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
  readonly codes: readonly string[];
  /** In what it is searched. */
  readonly text: string;
}

/** The REST interface as the server describes it. The description is in English. */
function Docs() {
  const [description, setDescription] = useState<Description | null>(null);
  const [failure, setFailure] = useState('');
  const [search, setSearch] = useState('');
  useEffect(() => {
    new ApiClient(null, null)
      .publicRequest<Description>('GET', '/openapi.json')
      .then(setDescription, (error: unknown) => setFailure(failureText(error)));
  }, []);
  const wanted = useWanted();
  useEffect(() => {
    if (description === null || wanted.current === '') return;
    // What the search leaves out is shown first.
    if (openNamed(wanted.current) || search === '') wanted.current = '';
    else setSearch('');
  });
  return (
    <main class="page wide stack" data-testid="docs">
      <PageHeader title={t('docs.title')} />
      {failure !== '' && (
        <Notice look="danger">
          <p>{failure}</p>
        </Notice>
      )}
      {description !== null && (
        <>
          <p>
            {t('docs.intro', { version: description.info.version })}{' '}
            <a href="/openapi.json">openapi.json</a>
          </p>
          <Field label={t('docs.search')}>
            <input
              type="search"
              data-testid="docs-search"
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </Field>
          <Reference description={description} search={search} />
        </>
      )}
    </main>
  );
}

/** What a link to a route, type or code leads to, until it is shown. */
function useWanted(): { current: string } {
  const [, again] = useState(0);
  const wanted = useRef(nameIn(location.hash));
  useEffect(() => {
    const want = (hash: string) => {
      wanted.current = nameIn(hash);
      again((times) => times + 1);
    };
    const follow = (event: Event) => {
      const link = event.target instanceof Element ? event.target.closest('a') : null;
      if (link !== null && link.hash !== '') want(link.hash);
    };
    const look = () => want(location.hash);
    addEventListener('click', follow);
    addEventListener('hashchange', look);
    return () => {
      removeEventListener('click', follow);
      removeEventListener('hashchange', look);
    };
  }, []);
  return wanted;
}

function nameIn(hash: string): string {
  return hash.slice(1);
}

/** Opens what has this name and moves the focus there; answers whether it is on the page. */
function openNamed(name: string): boolean {
  const found = document.getElementById(name);
  if (found instanceof HTMLDetailsElement) {
    found.open = true;
    found.querySelector('summary')?.focus();
  }
  found?.scrollIntoView();
  return found !== null;
}

function Reference({ description, search }: { description: Description; search: string }) {
  const routes = useMemo(() => routesOf(description), [description]);
  const words = wordsOf(search);
  const found = routes.filter(({ text }) => words.every((word) => text.includes(word)));
  const groups = groupsOf(description, found);
  const codes = codesOf(routes).filter(({ code }) => matches(words, code));
  const { schemas } = description.components;
  const types = Object.entries(schemas).filter(([name]) => matches(words, name));
  return (
    <>
      <p class="quiet" role="status" data-testid="docs-count">
        {t('docs.count', { count: found.length })}
      </p>
      <div class="stack" lang="en">
        <nav aria-label="Contents">
          <ul class="row contents">
            {groups.map(({ name, all }) => (
              <li key={name}>
                <a href={`#tag-${name}`}>
                  {name} ({all.length})
                </a>
              </li>
            ))}
            {codes.length > 0 && (
              <li>
                <a href="#codes">error codes ({codes.length})</a>
              </li>
            )}
            {types.length > 0 && (
              <li>
                <a href="#types">types ({types.length})</a>
              </li>
            )}
          </ul>
        </nav>
        {groups.map((group) => (
          <section key={group.name} class="stack" aria-labelledby={`tag-${group.name}`}>
            <h2 id={`tag-${group.name}`}>{group.name}</h2>
            {group.text !== '' && <p class="quiet">{group.text}</p>}
            {group.all.map((route) => (
              <RouteCard key={route.id} route={route} description={description} />
            ))}
          </section>
        ))}
        {codes.length > 0 && <Codes codes={codes} />}
        {types.length > 0 && (
          <section class="stack" aria-labelledby="types">
            <h2 id="types">Types</h2>
            {types.map(([name, schema]) => (
              <details key={name} class="card" id={`type-${name}`} data-testid="docs-type">
                <summary>
                  <h3>{name}</h3>
                </summary>
                <Shape schema={schema} />
              </details>
            ))}
          </section>
        )}
      </div>
    </>
  );
}

interface Code {
  readonly code: string;
  readonly routes: readonly Route[];
}

/** What a refusal means, in the language of the page, and which routes answer with it. */
function Codes({ codes }: { codes: readonly Code[] }) {
  return (
    <section class="stack" aria-labelledby="codes">
      <h2 id="codes">Error codes</h2>
      <p class="quiet">
        Every refusal is a <a href="#type-Error">{'{code, message}'}</a>; the code stays the same in
        all versions.
      </p>
      {codes.map(({ code, routes }) => (
        <details key={code} class="card" id={`code-${code}`} data-testid="docs-code">
          <summary>
            <h3>
              <code>{code}</code>
            </h3>
          </summary>
          <div class="stack">
            <p lang={language.value}>{errorText(code)}</p>
            <ul>
              {routes.map(({ id, method, path }) => (
                <li key={id}>
                  <a href={`#${id}`}>
                    {method} <code>{path}</code>
                  </a>
                </li>
              ))}
            </ul>
          </div>
        </details>
      ))}
    </section>
  );
}

function wordsOf(search: string): readonly string[] {
  return search.toLowerCase().split(/\s+/).filter(Boolean);
}

function matches(words: readonly string[], name: string): boolean {
  const text = name.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Every route, with the text in which it is searched. */
function routesOf(description: Description): readonly Route[] {
  return Object.entries(description.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([name, operation]) => {
      const method = name.toUpperCase();
      const id = operation.operationId ?? `${name}-${path}`;
      const parameters = (operation.parameters ?? []).map((one) => one.name);
      const codes = codesIn(operation);
      const told = [operation.summary, operation.description, operation.operationId];
      const text = [method, path, ...told, ...parameters, ...codes].join(' ').toLowerCase();
      return { id, method, path, operation, codes, text };
    }),
  );
}

const CODE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

/** The codes among the words of an answer's description, which names nothing else when it refuses. */
function codesOfAnswer({ description = '' }: Answer): readonly string[] {
  const words = description.split(', ');
  return words.every((word) => CODE.test(word)) ? words : [];
}

function codesIn(operation: Operation): readonly string[] {
  return Object.values(operation.responses ?? {}).flatMap(codesOfAnswer);
}

function codesOf(routes: readonly Route[]): readonly Code[] {
  const found = new Map<string, Route[]>();
  for (const route of routes) {
    for (const code of route.codes) found.set(code, [...(found.get(code) ?? []), route]);
  }
  return [...found]
    .map(([code, all]) => ({ code, routes: all }))
    .sort((a, b) => a.code.localeCompare(b.code));
}

interface Group {
  readonly name: string;
  readonly text: string;
  readonly all: readonly Route[];
}

/** The routes by what they are about; a group that is not described is one all the same. */
function groupsOf(description: Description, routes: readonly Route[]): readonly Group[] {
  const texts = new Map((description.tags ?? []).map((tag) => [tag.name, tag.description ?? '']));
  const nameOf = ({ operation }: Route) => operation.tags?.[0] ?? 'other';
  for (const route of routes) if (!texts.has(nameOf(route))) texts.set(nameOf(route), '');
  return [...texts]
    .map(([name, text]) => ({ name, text, all: routes.filter((one) => nameOf(one) === name) }))
    .filter(({ all }) => all.length > 0);
}

function RouteCard({ route, description }: { route: Route; description: Description }) {
  const { method, path, operation } = route;
  const body = Object.entries(operation.requestBody?.content ?? {});
  return (
    <details class="card route" id={route.id} data-testid="docs-route">
      <summary>
        <h3>
          <span class={`method ${method.toLowerCase()}`}>{method}</span> <code>{path}</code>
        </h3>
        <p>{operation.summary}</p>
      </summary>
      <div class="stack">
        {operation.description !== undefined && <p class="line-text">{operation.description}</p>}
        <p>
          <strong>Who may call:</strong> {callersOf(operation, description)}
        </p>
        {(operation.parameters ?? []).length > 0 && (
          <dl class="fields" aria-label="Parameters">
            {operation.parameters?.map((one) => (
              <Described
                key={`${one.in}${one.name}`}
                name={one.name}
                schema={one.schema}
                more={`, in ${one.in}${one.required === true ? ', required' : ''}`}
                text={one.description ?? ''}
              />
            ))}
          </dl>
        )}
        {body.map(([type, { schema }]) => (
          <p key={type}>
            <strong>Body:</strong> <code>{type}</code> <TypeLink schema={schema} />
          </p>
        ))}
        <dl class="fields" aria-label="Answers">
          {Object.entries(operation.responses ?? {}).map(([status, answer]) => (
            <div key={status}>
              <dt>
                <code>{status}</code>{' '}
                {Object.entries(answer.content ?? {}).map(([type, { schema }]) => (
                  <TypeLink key={type} schema={schema} />
                ))}
              </dt>
              <dd>
                <AnswerText answer={answer} />
              </dd>
              {Object.entries(answer.headers ?? {}).map(([name, header]) => (
                <dd key={name}>
                  Header <code>{name}</code>: {header.description}
                </dd>
              ))}
            </div>
          ))}
        </dl>
      </div>
    </details>
  );
}

/** What an answer means; codes lead to what they mean. */
function AnswerText({ answer }: { answer: Answer }) {
  const codes = codesOfAnswer(answer);
  if (codes.length === 0) return <>{answer.description}</>;
  return (
    <>
      {codes.map((code, at) => (
        <span key={code}>
          {at > 0 && ', '}
          <a href={`#code-${code}`}>{code}</a>
        </span>
      ))}
    </>
  );
}

/** The fields of a type, or its values. */
function Shape({ schema }: { schema: Schema }) {
  return (
    <div class="stack">
      {schema.description !== undefined && <p class="line-text">{schema.description}</p>}
      {schema.allOf?.map((part, at) =>
        part.$ref === undefined ? (
          <Shape key={at} schema={part} />
        ) : (
          <p key={at}>
            Everything of <TypeLink schema={part} />, and:
          </p>
        ),
      )}
      {schema.properties !== undefined && (
        <dl class="fields">
          {Object.entries(schema.properties).map(([name, one]) => (
            <Described
              key={name}
              name={name}
              schema={one}
              more={schema.required?.includes(name) === true ? ', required' : ''}
              text={one.description ?? ''}
            />
          ))}
        </dl>
      )}
      {schema.allOf === undefined && schema.properties === undefined && (
        <p>
          <TypeLink schema={schema} />
        </p>
      )}
      {schema.example !== undefined && (
        <pre class="example" tabIndex={0} role="region" aria-label="Example">
          {JSON.stringify(schema.example, null, 2)}
        </pre>
      )}
    </div>
  );
}

function Described(props: {
  name: string;
  schema: Schema | undefined;
  more: string;
  text: string;
}) {
  return (
    <div>
      <dt>
        <code>{props.name}</code>{' '}
        <span class="quiet">
          <TypeLink schema={props.schema} />
          {props.more}
        </span>
      </dt>
      <dd>{props.text}</dd>
    </div>
  );
}

function TypeLink({ schema }: { schema: Schema | undefined }) {
  const name = schema?.$ref?.split('/').at(-1) ?? schema?.items?.$ref?.split('/').at(-1);
  return name === undefined ? (
    <span>{typeText(schema)}</span>
  ) : (
    <a href={`#type-${name}`}>{typeText(schema)}</a>
  );
}

/** A type in a few words. */
function typeText(schema: Schema | undefined): string {
  if (schema === undefined) return 'anything';
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? '';
  if (schema.enum !== undefined) return schema.enum.map(String).join(' | ');
  if (schema.oneOf !== undefined) return schema.oneOf.map(typeText).join(' or ');
  if (schema.items !== undefined) return `list of ${typeText(schema.items)}`;
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['anything']);
  const text = types.join(' or ');
  return schema.format === undefined ? text : `${text} (${schema.format})`;
}

function callersOf(operation: Operation, { components }: Description): string {
  const texts = (operation.security ?? []).flatMap((one) =>
    Object.keys(one).length === 0
      ? ['anybody']
      : Object.keys(one).map((name) => components.securitySchemes?.[name]?.description ?? name),
  );
  return texts.length === 0 ? 'Anybody.' : texts.join(' Or: ');
}

void boot(<Docs />);
