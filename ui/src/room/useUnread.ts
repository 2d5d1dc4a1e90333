import type { ReceivedChatMessage } from '@livekit/components-react';
import { useEffect, useState } from 'react';
import { useNotices } from './notices.tsx';

/** How many messages of others came since the chat was last seen; says when one comes. */
export function useUnread(messages: ReceivedChatMessage[], open: boolean): number {
  const [seen, setSeen] = useState(0);
  const { announce } = useNotices();
  const foreign = messages.filter((message) => message.from?.isLocal !== true);
  const count = foreign.length;
  const sender = foreign[count - 1]?.from;

  useEffect(() => {
    if (open) setSeen(count);
  }, [open, count]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new message is news
  useEffect(() => {
    if (count > 0 && !open) announce(`New message from ${sender?.name || sender?.identity || '?'}`);
  }, [count]);

  return open ? 0 : Math.max(0, count - seen);
}
