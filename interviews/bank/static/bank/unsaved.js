/** The admin site's form of a question: asks before a page with unsaved text is left. */
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("question_form");
  if (!form) return;
  const texts = [...form.querySelectorAll("textarea")];
  // After an error the page shows what was sent, which nobody has stored.
  const refused = document.querySelector(".errornote") !== null;
  let sent = false;
  form.addEventListener("submit", () => (sent = true));
  addEventListener("beforeunload", (event) => {
    if (!sent && (refused || texts.some((text) => text.value !== text.defaultValue))) event.preventDefault();
  });
});
