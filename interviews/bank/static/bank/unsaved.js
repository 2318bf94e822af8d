/** The forms of a question, in the admin site and of a new one: asks before a page with unsaved text is left. */
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("question_form");
  if (!form) return;
  const texts = [...form.querySelectorAll("textarea, input[type=text]")];
  // After an error, or with a draft, the page shows what was sent, which nobody has stored.
  const refused = document.querySelector(".errornote, [data-unsaved]") !== null;
  let sent = false;
  form.addEventListener("submit", () => (sent = true));
  addEventListener("beforeunload", (event) => {
    if (!sent && (refused || texts.some((text) => text.value !== text.defaultValue))) event.preventDefault();
  });
});
