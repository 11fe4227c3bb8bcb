/* The overview: what /_sim knows, with a button for every verb. Text only ever enters as textContent. */
(function () {
  "use strict";

  var verbs = document.getElementById("overview").dataset.verbs.split(" ");
  var message = document.getElementById("message");

  function call(method, path, body) {
    return fetch(path, { method: method, body: body && JSON.stringify(body) }).then(function (response) {
      return response.json().then(function (answer) {
        message.textContent = response.ok ? "" : answer.error;
        return answer;
      });
    });
  }

  function element(tag, text, parent) {
    var made = document.createElement(tag);
    made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  function button(text, parent, run) {
    var made = element("button", text, parent);
    made.type = "button";
    made.className = "quiet small";
    made.addEventListener("click", function () {
      run().then(refresh);
    });
    return made;
  }

  function row(cells, parent) {
    var line = element("tr", "", parent);
    cells.forEach(function (cell) {
      element("td", cell === null || cell === undefined ? "–" : String(cell), line);
    });
    return line;
  }

  function rupees(paise) {
    return "₹" + (paise / 100).toFixed(2);
  }

  function showOrder(order, parent) {
    var box = element("article", "", parent);
    box.className = "order";
    box.dataset.orderId = order.orderId;
    element("h2", [order.gateway, order.orderId, order.status, rupees(order.amountPaise), order.reference].join(" · "), box);
    var table = element("table", "", box);
    order.attempts.forEach(function (attempt) {
      row([attempt.paymentId, attempt.status, attempt.method, rupees(attempt.amountPaise), attempt.errorReason], table);
    });
    order.refunds.forEach(function (refund) {
      showRefund(refund, table);
    });
    order.disputes.forEach(function (dispute) {
      row([dispute.disputeId, dispute.status, "dispute", rupees(dispute.amountPaise)], table);
    });
    var buttons = element("div", "", box);
    buttons.className = "buttons";
    verbs.forEach(function (verb) {
      button(verb, buttons, call.bind(null, "POST", "/_sim/orders/" + encodeURIComponent(order.orderId) + "/" + verb));
    });
  }

  function showRefund(refund, table) {
    var line = row([refund.refundId, refund.status, "refund", rupees(refund.amountPaise)], table);
    if (refund.status === "pending") {
      ["success", "failure"].forEach(function (outcome) {
        var path = "/_sim/refunds/" + encodeURIComponent(refund.refundId) + "/" + outcome;
        button(outcome, element("td", "", line), call.bind(null, "POST", path));
      });
    }
  }

  function showOrders(answer) {
    var section = document.getElementById("orders");
    section.replaceChildren();
    answer.orders.forEach(function (order) {
      showOrder(order, section);
    });
    if (!answer.orders.length) {
      element("p", "No orders yet.", section);
    }
  }

  function showEvents(answer) {
    var body = document.getElementById("events");
    body.replaceChildren();
    answer.events
      .slice()
      .reverse()
      .forEach(function (event) {
        row([event.event, event.orderId, event.state, event.tries, event.lastStatus, event.fault], body);
      });
  }

  function refresh() {
    fetch("/_sim/orders").then(json).then(showOrders);
    fetch("/_sim/deliveries").then(json).then(showEvents);
  }

  function json(response) {
    return response.json();
  }

  function on(id, run) {
    document.getElementById(id).addEventListener("click", function () {
      run().then(refresh);
    });
  }

  on("refresh", Promise.resolve.bind(Promise));
  on("reset", call.bind(null, "POST", "/_sim/reset", {}));
  on("advance-minute", call.bind(null, "POST", "/_sim/clock", { advance_seconds: 60 }));
  refresh();
})();
