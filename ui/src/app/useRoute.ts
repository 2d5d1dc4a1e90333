import { useSyncExternalStore } from 'react';
import { formatRoute, parseRoute, type Route } from './route.ts';

/** The current place, following the address. */
export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return parseRoute(hash);
}

/** Goes to another place; Back returns here. */
export function navigate(route: Route): void {
  location.hash = formatRoute(route);
}

/** Goes to another place without leaving this one in the history. */
export function replaceRoute(route: Route): void {
  history.replaceState(null, '', location.pathname + location.search + formatRoute(route));
  dispatchEvent(new HashChangeEvent('hashchange'));
}

function subscribe(changed: () => void): () => void {
  addEventListener('hashchange', changed);
  return () => removeEventListener('hashchange', changed);
}
