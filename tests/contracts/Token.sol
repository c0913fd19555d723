// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The token that tests pay with: six decimals as USDC has, everything minted to whoever deploys it.
//
// `Token.bin` is its creation code. After a change here, build it again with solc 0.8.30 (npm package `solc`):
//
//     npx solc@0.8.30 --bin --optimize --base-path . Token.sol
//     tr -d '\n' < Token_sol_Token.bin > Token.bin && rm Token_sol_Token.bin
pragma solidity 0.8.30;

contract Token {
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor() {
        balanceOf[msg.sender] = 1_000_000_000 * 10 ** decimals;
        emit Transfer(address(0), msg.sender, balanceOf[msg.sender]);
    }

    function transfer(address to, uint256 value) public returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    // Two movements in one transaction, to two recipients or twice to the same.
    function transferTwo(address first, uint256 one, address second, uint256 other) external {
        transfer(first, one);
        transfer(second, other);
    }

    // A Transfer event of any size that moves nothing: zero, or more than a gateway can read.
    function announce(address to, uint256 value) external {
        emit Transfer(msg.sender, to, value);
    }

    // The event that looks most like a Transfer and is none.
    function approve(address spender, uint256 value) external returns (bool) {
        emit Approval(msg.sender, spender, value);
        return true;
    }
}
