// The compose files that are shipped, read as Docker Compose reads them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { HERE } from './settings.mjs';

/** The services of `deploy/docker/FILE`, with what `.env` would say put in. */
export function services(file, variables) {
  const text = readFileSync(join(HERE, '../deploy/docker', file), 'utf8');
  const fill = (value) => {
    if (typeof value === 'string') return interpolate(value, variables);
    if (Array.isArray(value)) return value.map(fill);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, fill(it)]));
  };
  return fill(parse(text).services);
}

/** `${NAME}`, `${NAME:-DEFAULT}` and `${NAME:?WHY}`; anything else with a dollar is a mistake. */
function interpolate(text, variables) {
  const filled = text.replaceAll(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_all, name, kind, rest) => {
    const value = variables[name];
    if (value) return value;
    if (kind === '-') return rest;
    throw new Error(kind === '?' ? rest : `nobody says what ${name} is`);
  });
  if (filled.includes('$')) throw new Error(`cannot read ${text}`);
  return filled;
}
