import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
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
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

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
  readonly responses?: Readonly<
    Record<string, { readonly description?: string; readonly content?: Content }>
  >;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

interface Description {
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
}

interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
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
  const routes = description === null ? [] : routesOf(description, search);
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
          <div class="stack" lang="en">
            {(description.tags ?? []).map((tag) => (
              <Group
                key={tag.name}
                name={tag.name}
                text={tag.description ?? ''}
                routes={routes.filter(({ operation }) => operation.tags?.includes(tag.name))}
              />
            ))}
            <section class="stack" aria-labelledby="schemas">
              <h2 id="schemas">Types</h2>
              {Object.entries(description.components.schemas).map(([name, schema]) => (
                <details key={name} class="card" id={`schema-${name}`}>
                  <summary>
                    <h3>{name}</h3>
                  </summary>
                  <Shape schema={schema} />
                </details>
              ))}
            </section>
          </div>
        </>
      )}
    </main>
  );
}

function routesOf(description: Description, search: string): readonly Route[] {
  const words = search.trim().toLowerCase();
  return Object.entries(description.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .map(([method, operation]) => ({ method: method.toUpperCase(), path, operation }))
      .filter(({ method, operation }) =>
        `${method} ${path} ${operation.summary ?? ''}`.toLowerCase().includes(words),
      ),
  );
}

function Group(props: { name: string; text: string; routes: readonly Route[] }) {
  if (props.routes.length === 0) return null;
  return (
    <section class="stack" aria-labelledby={`tag-${props.name}`}>
      <h2 id={`tag-${props.name}`}>{props.name}</h2>
      <p class="quiet">{props.text}</p>
      {props.routes.map((route) => (
        <RouteCard key={`${route.method}${route.path}`} route={route} />
      ))}
    </section>
  );
}

function RouteCard({ route }: { route: Route }) {
  const { method, path, operation } = route;
  const body = Object.entries(operation.requestBody?.content ?? {});
  return (
    <details class="card route" data-testid="docs-route">
      <summary>
        <h3>
          <span class={`method ${method.toLowerCase()}`}>{method}</span> <code>{path}</code>
        </h3>
        <p>{operation.summary}</p>
      </summary>
      <div class="stack">
        {operation.description !== undefined && <p class="line-text">{operation.description}</p>}
        <p>
          <strong>Who may call:</strong> {callersOf(operation)}
        </p>
        {(operation.parameters ?? []).length > 0 && (
          <dl class="fields" aria-label="Parameters">
            {operation.parameters?.map((one) => (
              <Described
                key={`${one.in}${one.name}`}
                name={one.name}
                type={`${typeText(one.schema)}, in ${one.in}${one.required === true ? ', required' : ''}`}
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
              <dd>{answer.description}</dd>
            </div>
          ))}
        </dl>
      </div>
    </details>
  );
}

/** The fields of a type, or its values. */
function Shape({ schema }: { schema: Schema }) {
  return (
    <div class="stack">
      {schema.description !== undefined && <p class="line-text">{schema.description}</p>}
      {schema.properties === undefined ? (
        <p>
          <TypeLink schema={schema} />
        </p>
      ) : (
        <dl class="fields">
          {Object.entries(schema.properties).map(([name, one]) => (
            <Described
              key={name}
              name={name}
              type={`${typeText(one)}${schema.required?.includes(name) === true ? ', required' : ''}`}
              text={one.description ?? ''}
            />
          ))}
        </dl>
      )}
    </div>
  );
}

function Described(props: { name: string; type: string; text: string }) {
  return (
    <div>
      <dt>
        <code>{props.name}</code> <span class="quiet">{props.type}</span>
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
    <a
      href={`#schema-${name}`}
      onClick={() => document.getElementById(`schema-${name}`)?.setAttribute('open', '')}
    >
      {typeText(schema)}
    </a>
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

function callersOf(operation: Operation): string {
  const names = (operation.security ?? []).flatMap((one) =>
    Object.keys(one).length === 0 ? ['anybody'] : Object.keys(one),
  );
  return names.length === 0 ? 'anybody' : names.join(' or ');
}

boot(<Docs />);
