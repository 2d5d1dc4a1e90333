import {
  type ReceivedChatMessage,
  type useChat,
  useLocalParticipantPermissions,
} from '@livekit/components-react';
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { Icon } from '../ui/Icon.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { linkParts } from './linkParts.ts';
import { Panel } from './Panel.tsx';
import { mayChat } from './permission.ts';

/** The longest message, in characters. */
const MESSAGE_MAX = 4000;
/** How near the end one must be for new messages to be followed, in CSS pixels. */
const FOLLOW_PX = 80;

/** Messages between the people in the room; nothing of it is kept by the server. */
export function ChatPanel(props: { chat: ReturnType<typeof useChat>; onClose: () => void }) {
  const { chatMessages, send, isSending } = props.chat;
  const permitted = mayChat(useLocalParticipantPermissions());
  const list = useRef<HTMLOListElement>(null);
  useFollow(list, chatMessages.length);
  return (
    <Panel title="Chat" onClose={props.onClose}>
      <ol className="chat-list" ref={list} aria-label="Messages">
        {chatMessages.length === 0 && (
          <li className="empty">No messages yet. Everybody in the room can read them.</li>
        )}
        {chatMessages.map((message, index) => (
          <Message
            key={message.id ?? `${message.timestamp}-${index}`}
            message={message}
            first={chatMessages[index - 1]?.from?.identity !== message.from?.identity}
          />
        ))}
      </ol>
      {permitted ? (
        <Composer send={send} busy={isSending} />
      ) : (
        <p className="hint panel-foot">You can read messages here, but not write any.</p>
      )}
    </Panel>
  );
}

function Composer(props: { send: (text: string) => Promise<unknown>; busy: boolean }) {
  const [text, setText] = useState('');
  const [failed, setFailed] = useState(false);
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => input.current?.focus(), []);

  async function submit(event?: FormEvent) {
    event?.preventDefault();
    const message = text.trim();
    if (message === '') return;
    try {
      await props.send(message);
      setText('');
      setFailed(false);
    } catch {
      setFailed(true);
    }
    input.current?.focus();
  }

  function onKey(event: KeyboardEvent) {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void submit();
  }

  return (
    <form className="composer panel-foot" onSubmit={submit}>
      {failed && <ErrorNote>The message could not be sent. Try again.</ErrorNote>}
      <div className="composer-row">
        <textarea
          ref={input}
          aria-label="Message"
          placeholder="Message"
          rows={1}
          maxLength={MESSAGE_MAX}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKey}
        />
        <button
          type="submit"
          className="button button-primary button-icon"
          aria-label="Send"
          disabled={props.busy || text.trim() === ''}
        >
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

function Message({ message, first }: { message: ReceivedChatMessage; first: boolean }) {
  const own = message.from?.isLocal === true;
  const name = message.from?.name || message.from?.identity || 'Somebody who has left';
  const time = new Date(message.timestamp);
  return (
    <li className={own ? 'message message-own' : 'message'}>
      {first && (
        <p className="message-head">
          <strong>{own ? 'You' : name}</strong>
          <time dateTime={time.toISOString()}>
            {time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}
          </time>
        </p>
      )}
      <p className="message-text">
        {linkParts(message.message).map((part) =>
          part.href === null ? (
            <span key={part.at}>{part.text}</span>
          ) : (
            <a key={part.at} href={part.href} target="_blank" rel="noopener noreferrer">
              {part.text}
            </a>
          ),
        )}
      </p>
    </li>
  );
}

/** Scrolls to new messages, unless the person is reading older ones. */
function useFollow(list: React.RefObject<HTMLElement | null>, count: number): void {
  const seen = useRef(0);
  useEffect(() => {
    const element = list.current;
    if (element === null || count === seen.current) return;
    const first = seen.current === 0;
    seen.current = count;
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    const last = element.lastElementChild?.clientHeight ?? 0;
    if (first || rest - last < FOLLOW_PX) element.scrollTop = element.scrollHeight;
  }, [list, count]);
}
