import type { CreatedInvite } from '../api/types.ts';

/**
 * The whole links of an invite, the likeliest first: the address by which the admin came works
 * for a guest too, unless it is one that means "this very machine".
 */
export function inviteUrls(created: CreatedInvite, origin: string): string[] {
  const own = origin + created.path;
  const all = [...new Set([own, ...created.urls])].filter((url) => hostOf(url) !== '');
  return all.sort((a, b) => Number(isLocal(a)) - Number(isLocal(b)));
}

function isLocal(url: string): boolean {
  const hostname = hostOf(url);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

function hostOf(url: string): string {
  try {
    return new URL(url).hostname;
  } catch {
    return '';
  }
}
