/* What pay pages share: a question to the simulator, and a form that takes the payer to the shop. */
window.payPage = {
  ask: function (address, request, show, stop) {
    "use strict";
    fetch(address, request)
      .then(function (response) {
        return response.json();
      })
      .then(show)
      .catch(function () {
        stop("The simulator did not answer. Try again.");
      });
  },

  say: function (body) {
    "use strict";
    return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  },

  send: function (method, address, fields) {
    "use strict";
    var form = document.createElement("form");
    form.method = method;
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
  },
};
