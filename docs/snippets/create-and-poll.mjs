const API_KEY = "cgk_your_api_key";
const BASE_URL = "https://cryptogap.com/api/v1";

// Create a payment
const res = await fetch(`${BASE_URL}/payments`, {
  method: "POST",
  headers: {
    "X-API-Key": API_KEY,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    title: "Order #1234",
    amount_usd: 49.99,
  }),
});
const { payment } = await res.json();
console.log(`Pay URL: ${payment.pay_url}`);

// Check if paid
const check = await fetch(`${BASE_URL}/payments/${payment.short_code}`, {
  headers: { "X-API-Key": API_KEY },
});
const data = await check.json();
if (["paid", "overpaid"].includes(data.payment.status)) {
  console.log("Payment complete!");
}
