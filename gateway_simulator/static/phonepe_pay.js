/* PhonePe's pay page: sends what the payer typed or a tester chose, and leaves when the order is over: to the
   merchant's address, by GET or with a form (V1), or, inside checkout.js's frame, with a word to the page around it. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var page = document.getElementById("checkout");
  var message = document.getElementById("message");
  var choices = document.getElementById("choices");
  var tester = document.getElementById("tester");
  var second = { card: "otp-page", netbanking: "bank-page" };
  var typed = {};

  function act(said) {
    wait("Talking to your bank…");
    said.token = page.dataset.token;
    ask("attempts", payPage.say(said));
  }

  function ask(address, request) {
    payPage.ask(address, request, show, stop);
  }

  function show(answer) {
    if (answer.leave) {
      leave(answer.leave, answer.cancelled ? "USER_CANCEL" : "CONCLUDED");
    } else if (answer.code) {
      stop(answer.message);
    } else if (answer.attempt === "FAILED") {
      stop("The bank declined. You can try again.");
    } else if (answer.attempt === "PENDING") {
      wait("Waiting for your bank to confirm…");
      setTimeout(ask, ASK_AGAIN_MILLISECONDS, "attempts/" + encodeURIComponent(page.dataset.token));
    } else {
      stop("The bank took another sum than the order's.");
    }
  }

  function leave(where, word) {
    if (window.parent !== window) {
      window.parent.postMessage({ result: word }, "*");
    } else if (where.fields) {
      payPage.send("post", where.url, where.fields);
    } else if (where.url) {
      window.location.assign(where.url);
    } else {
      wait("Done. This order has no address to go back to.");
    }
  }

  function wait(text) {
    choices.disabled = tester.disabled = true;
    message.textContent = text;
    message.className = "";
    turnTo(null);
  }

  function stop(text) {
    choices.disabled = tester.disabled = false;
    message.textContent = text;
    message.className = "bad";
    turnTo(null);
    message.focus();
  }

  /* The page of a bank or an app in place of the choices; none of them: the choices again. */
  function turnTo(id) {
    choices.hidden = id !== null;
    document.querySelectorAll(".bank").forEach(function (one) {
      one.hidden = one.id !== id;
    });
    if (id !== null) {
      message.textContent = "";
      var shown = document.getElementById(id);
      (shown.querySelector("input") || shown.querySelector("h2")).focus();
    }
  }

  function valuesOf(form) {
    return Object.fromEntries(new FormData(form));
  }

  document.addEventListener("submit", function (event) {
    var part = event.target.dataset.part;
    var values = valuesOf(event.target);
    event.preventDefault();
    if (part === "upi_collect") {
      act({ method: part, upiId: values.upiId });
    } else if (part) {
      typed = part === "card" ? { method: part, card: values } : { method: part, bank: values.bank };
      turnTo(second[part]);
    } else {
      event.target.reset();
      act(Object.assign({}, typed, values));
    }
  });

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button");
    if (!button) {
      return;
    }
    if (button.dataset.outcome) {
      act({ outcome: button.dataset.outcome, method: button.dataset.method || document.getElementById("method").value });
    } else if (button.dataset.app) {
      document.getElementById("app-name").textContent = button.dataset.app;
      turnTo("app-page");
    } else if (button.classList.contains("back")) {
      turnTo(null);
    }
  });

  document.body.inert = false; // until here no button could be pressed: none did anything
})();
