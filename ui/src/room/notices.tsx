import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useRef,
  useState,
} from 'react';
import { Icon } from '../ui/Icon.tsx';

/** How long a notice stays, if it is not closed before. */
const NOTICE_MS = 7_000;
/** More at once would cover the call: the oldest goes. */
const NOTICES_MAX = 3;

type Notice = { id: number; text: string; group: string | null };

export type Notices = {
  /** Shows a text for a while, and reads it out. One of a group takes the former one's place. */
  show: (text: string, group?: string) => void;
  /** Only reads it out: for what everybody else can see anyway. */
  announce: (text: string) => void;
};

const Context = createContext<Notices>({ show: () => undefined, announce: () => undefined });

export function useNotices(): Notices {
  return useContext(Context);
}

/** Holds the short messages over the call and the live region for screen readers. */
export function NoticeProvider(props: { children: ReactNode }) {
  const [notices, setNotices] = useState<Notice[]>([]);
  const [spoken, setSpoken] = useState('');
  const next = useRef(0);

  const close = useCallback((id: number) => {
    setNotices((all) => all.filter((notice) => notice.id !== id));
  }, []);

  const announce = useCallback((text: string) => {
    // The same text twice is only read twice if the region changes: a no-break space toggles.
    setSpoken((before) => (before === text ? `${text}\u00a0` : text));
  }, []);

  const show = useCallback(
    (text: string, group: string | null = null) => {
      const id = next.current++;
      setNotices((all) => {
        const others = all.filter((notice) => group === null || notice.group !== group);
        return [...others.slice(1 - NOTICES_MAX), { id, text, group }];
      });
      announce(text);
      setTimeout(() => close(id), NOTICE_MS);
    },
    [announce, close],
  );

  const value = useMemo(() => ({ show, announce }), [show, announce]);
  return (
    <Context.Provider value={value}>
      {props.children}
      <div className="visually-hidden" aria-live="polite" role="status">
        {spoken}
      </div>
      <div className="notices">
        {notices.map((notice) => (
          <div key={notice.id} className="notice">
            <span>{notice.text}</span>
            <button
              type="button"
              className="button button-quiet button-icon"
              aria-label="Dismiss"
              onClick={() => close(notice.id)}
            >
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
