/* PhonePe's pay page: sends what the payer chose, and leaves when the order is over: to the merchant's address,
   by GET or with a form (V1), or, inside checkout.js's frame, with a word to the page around it. */
(function () {
  "use strict";

  var ASK_AGAIN_MILLISECONDS = 500;
  var page = document.getElementById("checkout");
  var message = document.getElementById("message");
  var choices = document.getElementById("choices");

  function act(outcome) {
    wait("Talking to your bank…");
    ask("attempts", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        token: page.dataset.token,
        outcome: outcome,
        method: document.getElementById("method").value,
      }),
    });
  }

  function ask(address, request) {
    fetch(address, request)
      .then(function (response) {
        return response.json();
      })
      .then(show)
      .catch(function () {
        stop("The simulator did not answer. Try again.");
      });
  }

  function show(answer) {
    if (answer.leave) {
      leave(answer.leave, answer.cancelled ? "USER_CANCEL" : "CONCLUDED");
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
      postForm(where.url, where.fields);
    } else {
      window.location.assign(where.url);
    }
  }

  function postForm(address, fields) {
    var form = document.createElement("form");
    form.method = "post";
    form.action = address;
    form.hidden = true;
    Object.keys(fields).forEach(function (name) {
      var input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      input.value = fields[name];
      form.appendChild(input);
    });
    document.body.appendChild(form);
    form.submit();
  }

  function wait(text) {
    choices.disabled = true;
    message.textContent = text;
    message.className = "";
  }

  function stop(text) {
    choices.disabled = false;
    message.textContent = text;
    message.className = "bad";
  }

  document.addEventListener("click", function (event) {
    var outcome = event.target.dataset.outcome;
    if (outcome) {
      act(outcome);
    }
  });

  document.body.inert = false; // nobody can press a button before it does something
})();
