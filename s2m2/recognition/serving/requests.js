// Requests to this server, and to no other.

const RETRIES = 30;

export async function ask(path, options = {}) {
  for (let trial = 0; ; trial += 1) {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error("The server does not answer. Is `s2m2 serve` still running?");
    }
    if (response.status === 503 && trial < RETRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw Object.assign(new Error(answer.detail || `The server answered ${response.status}.`), { status: response.status });
    return answer;
  }
}

export const send = (path, values) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });

export function form(files, words = {}) {
  const body = new FormData();
  for (const file of files) body.append("images", file, "photo"); // what it is called here concerns nobody
  for (const [key, value] of Object.entries(words)) body.append(key, value);
  return { method: "POST", body };
}
