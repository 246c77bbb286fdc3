// This script tells the browser's passkey manager which passkeys the user still has, so that it offers no passkey that was removed
// (Web Authentication Level 3, section 5.1.10). A browser that doesn't know the call goes on offering them, and the API refuses them.

const said = document.querySelector("[data-signal]");
if (said && window.PublicKeyCredential?.signalAllAcceptedCredentials) {
  const { rp_id: rpId, user_id: userId, credential_ids: allAcceptedCredentialIds } = JSON.parse(said.dataset.signal);
  PublicKeyCredential.signalAllAcceptedCredentials({ rpId, userId, allAcceptedCredentialIds }).catch(() => {}); // it is only a help
}
