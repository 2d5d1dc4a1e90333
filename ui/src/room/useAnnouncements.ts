import { type Participant, RoomEvent } from 'livekit-client';
import { useEffect } from 'react';
import type { Call } from './call.ts';
import { useNotices } from './notices.tsx';

/** Tells about comings, goings and the connection; a notice for people, a voice for readers. */
export function useAnnouncements(call: Call): void {
  const { show, announce } = useNotices();
  useEffect(() => {
    const { room } = call;
    const joined = (participant: Participant) => show(`${nameOf(participant)} joined`, 'presence');
    const left = (participant: Participant) => show(`${nameOf(participant)} left`, 'presence');
    const lost = () => announce('Connection interrupted. Reconnecting.');
    const back = () => announce('Connected again.');
    const connected = () => announce(`You are in ${call.grant.room}.`);
    room
      .on(RoomEvent.Connected, connected)
      .on(RoomEvent.ParticipantConnected, joined)
      .on(RoomEvent.ParticipantDisconnected, left)
      .on(RoomEvent.Reconnecting, lost)
      .on(RoomEvent.SignalReconnecting, lost)
      .on(RoomEvent.Reconnected, back);
    return () => {
      room
        .off(RoomEvent.Connected, connected)
        .off(RoomEvent.ParticipantConnected, joined)
        .off(RoomEvent.ParticipantDisconnected, left)
        .off(RoomEvent.Reconnecting, lost)
        .off(RoomEvent.SignalReconnecting, lost)
        .off(RoomEvent.Reconnected, back);
    };
  }, [call, show, announce]);
}

function nameOf(participant: Participant): string {
  return participant.name === undefined || participant.name === ''
    ? participant.identity
    : participant.name;
}
