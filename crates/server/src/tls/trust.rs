//! The authority's certificate in the form that Apple's devices install.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use crate::auth::stable_identity;

/// A configuration profile (property list) that installs the certificate as a root. Its
/// identifiers follow from the certificate, so that installing it twice replaces it.
pub fn mobile_profile(authority: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(authority);
    let profile = uuid("profile", &encoded);
    let payload = uuid("payload", &encoded);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadCertificateFileName</key><string>umbrella.crt</string>
      <key>PayloadContent</key><data>{encoded}</data>
      <key>PayloadDisplayName</key><string>Umbrella certificate authority</string>
      <key>PayloadIdentifier</key><string>umbrella.authority.{payload}</string>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadUUID</key><string>{payload}</string>
      <key>PayloadVersion</key><integer>1</integer>
    </dict>
  </array>
  <key>PayloadDisplayName</key><string>Umbrella</string>
  <key>PayloadDescription</key><string>Lets this device trust the Umbrella server of this \
network.</string>
  <key>PayloadIdentifier</key><string>umbrella.profile.{profile}</string>
  <key>PayloadRemovalDisallowed</key><false/>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadUUID</key><string>{profile}</string>
  <key>PayloadVersion</key><integer>1</integer>
</dict>
</plist>
"
    )
}

/// A UUID of version 8 (RFC 9562): the bits are ours.
fn uuid(purpose: &str, encoded: &str) -> String {
    let first = stable_identity(purpose, encoded, "1");
    let second = stable_identity(purpose, encoded, "2");
    let hex = |text: &str| text.rsplit('-').next().unwrap_or_default().to_owned();
    let (a, b) = (hex(&first), hex(&second));
    format!(
        "{}-{}-8{}-8{}-{}",
        &a[..8],
        &a[8..12],
        &a[13..16],
        &b[..3],
        &b[4..16]
    )
    .to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_the_same_for_the_same_certificate_and_holds_it() {
        let certificate = CertificateDer::from(vec![1, 2, 3]);
        let profile = mobile_profile(&certificate);
        assert_eq!(profile, mobile_profile(&certificate));
        assert!(profile.contains("<data>AQID</data>"));
        let id = profile.split("umbrella.profile.").nth(1).unwrap();
        let id = id.split('<').next().unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }
}
