// Swagger UI with this service's own description; asks for a key where the description needs one.

const form = document.getElementById("key");

async function show(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch("/openapi.json", { headers }).catch(() => null);
  form.hidden = response?.status !== 401;
  form.querySelector("output").textContent = key ? "This key was not taken." : "";
  if (!response?.ok) return;
  const ui = SwaggerUIBundle({ spec: await response.json(), dom_id: "#interface", validatorUrl: null });
  if (key) ui.preauthorizeApiKey("HTTPBearer", key);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(form.querySelector("input").value);
});
show("");
