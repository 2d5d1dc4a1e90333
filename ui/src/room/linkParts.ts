/** A piece of a message: plain text, or a link. `at` is where it starts. */
export type TextPart = { at: number; text: string; href: string | null };

/** Finds web addresses in a text. Only http and https: nothing that could run. */
export function linkParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"']+/gi)) {
    // A full stop or bracket at the end belongs to the sentence.
    const address = match[0].replace(/[.,;:!?)\]}]+$/, '');
    const href = parse(address);
    if (href === null) continue;
    if (match.index > end) parts.push({ at: end, text: text.slice(end, match.index), href: null });
    parts.push({ at: match.index, text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ at: end, text: text.slice(end), href: null });
  return parts;
}

function parse(address: string): string | null {
  try {
    return new URL(address).href;
  } catch {
    return null;
  }
}
