// This script passes the options of a WebAuthn ceremony from Countersign to the browser, and puts the browser's answer into the
// form. It also tells the browser which passkeys the signed-in user still has.

const form = document.querySelector(".ceremony");
const signal = document.querySelector("[data-signal]");

const usable = "PublicKeyCredential" in window && "parseCreationOptionsFromJSON" in PublicKeyCredential && "toJSON" in PublicKeyCredential.prototype;

const ceremonies = {
  get: (options, abort) => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), signal: abort }),
  create: (options, abort) => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options), signal: abort }),
};

// sentences says what the browser's errors mean (Web Authentication Level 3, sections 5.1.3 and 5.1.4).
function sentence(error, noun) {
  switch (error.name) {
    case "NotAllowedError":
      return "It was cancelled, it took too long, or no fitting key was found. Try again, or choose another way.";
    case "InvalidStateError":
      return `This ${noun} is already set up for you. Use another one.`;
    case "ConstraintError":
      return `This ${noun} can’t check that it is you, with a PIN or a fingerprint. Use another one.`;
    case "NotSupportedError":
      return `This ${noun} can’t make signatures of the sort that is needed. Use another one.`;
    case "SecurityError":
      return `Keys can be used only at ${form.dataset.at}.`;
  }
  return `The browser could not use the key (${error.name}). Try again, or choose another way.`;
}

function prepare() {
  const button = form.querySelector("button");
  const told = form.querySelector("[data-told]");
  const noun = form.dataset.noun ?? "key";
  const tell = (text) => {
    told.textContent = text;
    told.hidden = !text;
  };

  if (location.origin !== form.dataset.at) return tell(`Keys can be used only at ${form.dataset.at}. Open the page there, or choose another way.`);
  if (!usable) return tell("This browser can’t use security keys and passkeys. Choose another way, or another browser.");

  async function answer() {
    const step = form.elements.step.value;
    const fetched = await fetch("/demo/ceremony", { method: "POST", body: new URLSearchParams({ step }) });
    const { options, said } = await fetched.json();
    if (!fetched.ok) return tell(said);
    const credential = await ceremonies[form.dataset.ceremony](options);
    form.elements.credential.value = JSON.stringify(credential);
    form.requestSubmit();
  }

  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    tell("");
    try {
      await answer();
    } catch (error) {
      tell(error instanceof DOMException ? sentence(error, noun) : "Demo desk can’t be reached. Try again.");
    }
    button.disabled = false;
    button.focus();
  });
}

if (form) prepare();

// Passkeys that were removed here then disappear from the user's password manager, too.
if (signal && usable && location.origin === signal.dataset.at && "signalAllAcceptedCredentials" in PublicKeyCredential) {
  const { rp_id: rpId, user_id: userId, credential_ids: allAcceptedCredentialIds } = JSON.parse(signal.dataset.signal);
  PublicKeyCredential.signalAllAcceptedCredentials({ rpId, userId, allAcceptedCredentialIds }).catch(() => {});
}
