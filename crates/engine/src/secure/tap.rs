//! Copies the keys that a DTLS handshake yields.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};

use super::keys::Keying;

/// Where the keys of one connection appear. Only one thread ever uses it; the lock is there
/// because str0m wants its DTLS instances to be `Sync`, and is taken once per DTLS packet.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySlot(Arc<Mutex<Option<Keying>>>);

impl KeySlot {
    /// The keys, the first time after a handshake.
    pub(super) fn take(&self) -> Option<Keying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, keying: Keying) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keying);
    }
}

thread_local! {
    /// The slot for the `Rtc` that is being built. `RtcConfig::build` makes its DTLS instance
    /// synchronously and passes on nothing that names the `Rtc`, so this is the only way to
    /// bind the two.
    static BUILDING: RefCell<Option<KeySlot>> = const { RefCell::new(None) };
}

/// Runs `build`, and binds the DTLS instance that it makes to the slot that is returned;
/// `None` if it has made none.
pub(super) fn with_key_slot<T>(build: impl FnOnce() -> T) -> (T, Option<KeySlot>) {
    let slot = KeySlot::default();
    BUILDING.with_borrow_mut(|building| *building = Some(slot.clone()));
    let built = build();
    let taken = BUILDING.with_borrow_mut(Option::take).is_none();
    (built, taken.then_some(slot))
}

/// Makes DTLS instances that copy their keys.
#[derive(Debug)]
pub(super) struct TapDtls {
    real: &'static dyn DtlsProvider,
}

impl TapDtls {
    pub(super) fn new(real: &'static dyn DtlsProvider) -> TapDtls {
        TapDtls { real }
    }
}

impl DtlsProvider for TapDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.real.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let real = self.real.new_dtls(certificate, now, version, mtu)?;
        let slot = BUILDING.with_borrow_mut(Option::take).unwrap_or_default();
        Ok(Box::new(TapInstance { real, slot }))
    }

    fn is_test(&self) -> bool {
        self.real.is_test()
    }
}

#[derive(Debug)]
struct TapInstance {
    real: Box<dyn DtlsInstance>,
    slot: KeySlot,
}

impl DtlsInstance for TapInstance {
    fn set_active(&mut self, active: bool) {
        self.real.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.real.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.real.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            self.slot.put(Keying {
                material: material.to_vec(),
                profile: *profile,
                active: self.real.is_active(),
            });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.real.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.real.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.real.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.real.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.real.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.real.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.real.close()
    }
}
