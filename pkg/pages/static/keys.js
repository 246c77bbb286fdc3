// This script passes the options of a WebAuthn ceremony to the browser, and puts the browser's answer into the form.

const form = document.querySelector(".ceremony");
const button = form.querySelector("button");
const told = form.querySelector("[data-told]");
const usable = "PublicKeyCredential" in window && "parseCreationOptionsFromJSON" in PublicKeyCredential && "toJSON" in PublicKeyCredential.prototype;

const ceremonies = {
  get: (options) => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  create: (options) => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
};

function tell(text) {
  told.textContent = text;
  told.hidden = !text;
}

// word says what the browser's errors mean (Web Authentication Level 3, sections 5.1.3 and 5.1.4).
function word(error) {
  switch (error.name) {
    case "NotAllowedError":
      return form.dataset.cancelled;
    case "InvalidStateError":
      return form.dataset.known;
    case "ConstraintError":
    case "NotSupportedError":
      return form.dataset.weak;
    case "SecurityError":
      return form.dataset.elsewhere;
  }
  return form.dataset.failed;
}

if (!usable) {
  tell(form.dataset.unusable);
} else {
  button.disabled = false;
  button.focus();
  button.addEventListener("click", async () => {
    button.disabled = true;
    tell("");
    try {
      const credential = await ceremonies[form.dataset.ceremony](JSON.parse(form.dataset.options));
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      tell(word(error));
      button.disabled = false;
      button.focus();
    }
  });
}
