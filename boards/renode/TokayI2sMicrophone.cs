// USART0 of the EFR32xG24 as the I2S receiver of a microphone that plays a file: the part of the USART that
// Renode's own model leaves out. Only I2S reception is modelled; every other use of the USART is ignored.
//
// Words come at the rate of the bit clock, PCLK / (2 * (D + 1)), two slots to a frame. The left slot is the
// file's next sample, the right one 0. Words are handed over in batches, each with its own DMA request, so a
// sample is in memory at the latest a batch after its time.
//
// Compiled by Renode at run time (include), so it keeps to C# 7 and to what every Renode assembly has.
using System;
using System.Collections.Generic;
using System.IO;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Sound
{
    public class TokayI2sMicrophone : IDoubleWordPeripheral, IWordPeripheral, IKnownSize
    {
        public TokayI2sMicrophone(IMachine machine, ulong frequency = 39000000)
        {
            ReceiveIRQ = new GPIO();
            TransmitIRQ = new GPIO();
            RxDataAvailableRequest = new GPIO();
            RxDataAvailableRightRequest = new GPIO();
            registers = new uint[RegisterBytes / 4];
            fifo = new List<Word>();
            samples = new short[0];
            timer = new LimitTimer(machine.ClockSource, frequency, this, "frames", ulong.MaxValue,
                                   direction: Direction.Ascending, enabled: false, workMode: WorkMode.Periodic,
                                   eventEnabled: true, autoUpdate: true);
            timer.LimitReached += ReceiveBatch;
        }

        public uint ReadDoubleWord(long offset)
        {
            var register = (Registers)(offset % AliasBytes);
            switch(register)
            {
            case Registers.RxData:
            case Registers.RxDataX:
            case Registers.RxDouble:
            case Registers.RxDoubleX:
                return Take();
            case Registers.RxDataXPeek:
            case Registers.RxDoubleXPeek:
                return fifo.Count > 0 ? fifo[0].Value : 0u;
            case Registers.Status:
                return Status();
            default:
                return Stored(register);
            }
        }

        public ushort ReadWord(long offset)
        {
            return (ushort)ReadDoubleWord(offset);
        }

        public void WriteWord(long offset, ushort value)
        {
            WriteDoubleWord(offset, value);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            var register = (Registers)(offset % AliasBytes);
            var old = register == Registers.Command ? 0 : ReadableWithoutEffect(register);
            switch(offset / AliasBytes)
            {
            case 1:
                value = old | value;
                break;
            case 2:
                value = old & ~value;
                break;
            case 3:
                value = old ^ value;
                break;
            }
            switch(register)
            {
            case Registers.Command:
                Command(value);
                break;
            case Registers.Status:
            case Registers.IpVersion:
                return;
            case Registers.Enable:
                Store(register, value & 1);
                if((value & 1) == 0)
                {
                    enabled = 0;
                    Clear();
                }
                break;
            default:
                Store(register, value);
                break;
            }
            Configure();
            Update();
        }

        public void Reset()
        {
            Array.Clear(registers, 0, registers.Length);
            enabled = 0;
            Clear();
            Configure();
            Update();
        }

        // A WAV file of 16 bits (the first channel is heard) or headerless int16; one sample a frame, whatever
        // its rate. It is read, and begins, when the microphone starts; what comes after its end is silence.
        public string Audio { get; set; }

        // Silence before it: what the firmware throws away while the microphone settles.
        public uint WakeUpFrames { get; set; }

        public ulong Frames { get; private set; }

        public ulong LostWords { get; private set; }

        public bool IsRunning
        {
            get { return running; }
        }

        public long Size
        {
            get { return 0x4000; }
        }

        public GPIO ReceiveIRQ { get; private set; }

        public GPIO TransmitIRQ { get; private set; }

        public GPIO RxDataAvailableRequest { get; private set; }

        // Where nothing is connected, right words are dropped as they come.
        public GPIO RxDataAvailableRightRequest { get; private set; }

        private static short[] ReadSamples(string path)
        {
            byte[] bytes;
            try
            {
                bytes = File.ReadAllBytes(path);
            }
            catch(Exception e)
            {
                throw new RecoverableException("Cannot read the microphone's audio: " + e.Message);
            }
            if(bytes.Length < 12 || Text(bytes, 0) != "RIFF" || Text(bytes, 8) != "WAVE")
            {
                return Samples(bytes, 0, bytes.Length, 1);
            }
            var channels = 0;
            for(var at = 12; at + 8 <= bytes.Length;)
            {
                var length = BitConverter.ToInt32(bytes, at + 4);
                var room = bytes.Length - at - 8;
                if(length < 0 || length > room)
                {
                    length = room; // a file that was cut off, or a length that was never filled in
                }
                if(Text(bytes, at) == "fmt " && length >= 16)
                {
                    channels = BitConverter.ToUInt16(bytes, at + 10);
                    if(BitConverter.ToUInt16(bytes, at + 22) != 16 || channels == 0)
                    {
                        throw new RecoverableException(path + " is not a WAV file of 16 bits");
                    }
                }
                else if(Text(bytes, at) == "data" && channels > 0)
                {
                    return Samples(bytes, at + 8, length, channels);
                }
                at += 8 + length + (length & 1);
            }
            throw new RecoverableException(path + " is not a WAV file of 16 bits");
        }

        private static string Text(byte[] bytes, int at)
        {
            return new string(new[] { (char)bytes[at], (char)bytes[at + 1], (char)bytes[at + 2], (char)bytes[at + 3] });
        }

        private static short[] Samples(byte[] bytes, int start, int length, int channels)
        {
            var result = new short[length / (2 * channels)];
            for(var i = 0; i < result.Length; i++)
            {
                result[i] = BitConverter.ToInt16(bytes, start + 2 * channels * i);
            }
            return result;
        }

        private void Command(uint value)
        {
            for(var i = 0; i < 3; i++)
            {
                if((value >> (2 * i) & 1) != 0)
                {
                    enabled |= 1u << i;
                }
                if((value >> (2 * i + 1) & 1) != 0)
                {
                    enabled &= ~(1u << i);
                }
            }
            if((value & CommandClearRx) != 0)
            {
                Clear();
            }
        }

        // Starts or stops the bit clock.
        private void Configure()
        {
            var i2s = Stored(Registers.I2sControl);
            var run = Stored(Registers.Enable) != 0 && (i2s & I2sEnable) != 0 && (Stored(Registers.Control) & ControlSync) != 0 &&
                      (enabled & EnabledRx) != 0 && (enabled & EnabledMaster) != 0;
            var format = (int)(i2s >> 8 & 7);
            slots = (i2s & I2sMono) != 0 ? 1 : 2;
            // Only the whole part of the divider: the fraction is not known to act in synchronous mode.
            var frame = SlotBits[format] * (ulong)slots * 2 * ((ulong)(Stored(Registers.ClockDivider) >> 8) + 1);
            if(run && format != 3 && format != 5)
            {
                this.Log(LogLevel.Error, "I2S format {0} is not modelled, only 16 bits of data", format);
                run = false;
            }
            if(run && !running)
            {
                Start();
            }
            if(run && (!running || frame != frameCycles))
            {
                frameCycles = frame;
                timer.Enabled = false;
                timer.Limit = frame * BatchFrames;
                timer.Value = 0;
                timer.Enabled = true;
            }
            else if(!run && running)
            {
                timer.Enabled = false;
            }
            running = run;
        }

        private void Start()
        {
            position = -(long)WakeUpFrames;
            Frames = 0;
            samples = new short[0];
            if(string.IsNullOrEmpty(Audio))
            {
                return;
            }
            try
            {
                samples = ReadSamples(Audio);
            }
            catch(RecoverableException e)
            {
                this.Log(LogLevel.Error, "{0}", e.Message);
            }
        }

        private void ReceiveBatch()
        {
            // What this leads to may stop the clock.
            for(var i = 0; i < BatchFrames && running; i++)
            {
                var sample = position >= 0 && position < samples.Length ? samples[position] : (short)0;
                var value = (uint)(ushort)sample;
                position++;
                Frames++;
                // Without the delay of one bit every word is taken one place too low.
                Receive((Stored(Registers.I2sControl) & I2sDelay) != 0 ? value : value >> 1, false);
                if(slots == 2)
                {
                    Receive(0, true);
                }
            }
        }

        private void Receive(uint value, bool right)
        {
            var split = (Stored(Registers.I2sControl) & I2sDmaSplit) != 0;
            if(right && split && !RxDataAvailableRightRequest.IsConnected)
            {
                return;
            }
            if(fifo.Count == FifoWords)
            {
                LostWords++;
                Store(Registers.InterruptFlags, Stored(Registers.InterruptFlags) | FlagRxOverflow);
                Update();
                return;
            }
            fifo.Add(new Word { Value = value, Right = right && split });
            Update();
        }

        private uint Take()
        {
            if(fifo.Count == 0)
            {
                return 0;
            }
            var value = fifo[0].Value;
            fifo.RemoveAt(0);
            Update();
            return value;
        }

        private void Clear()
        {
            fifo.Clear();
        }

        // Flags, interrupt lines and DMA requests. A request falls between two words, so that each one is seen.
        private void Update()
        {
            var flags = Stored(Registers.InterruptFlags) & ~(FlagRxData | FlagRxFull);
            flags |= fifo.Count > 0 ? FlagRxData | FlagRxFull : 0;
            Store(Registers.InterruptFlags, flags);
            var raised = flags & Stored(Registers.InterruptEnable);
            ReceiveIRQ.Set((raised & ReceiveFlags) != 0);
            TransmitIRQ.Set((raised & ~ReceiveFlags) != 0);
            Request(RxDataAvailableRequest, false);
            Request(RxDataAvailableRightRequest, true);
        }

        private void Request(GPIO line, bool right)
        {
            var wanted = fifo.Count > 0 && fifo[0].Right == right;
            if(!wanted)
            {
                line.Set(false);
            }
            else if(!line.IsSet)
            {
                line.Set(true); // the DMA reads within this call
            }
        }

        private uint Status()
        {
            var status = enabled | StatusTxBufferLow | (running ? 0 : StatusTxIdle);
            if(fifo.Count > 0)
            {
                status |= fifo[0].Right ? StatusRxRight : StatusRxLeft;
            }
            return status;
        }

        private uint ReadableWithoutEffect(Registers register)
        {
            return register == Registers.Status ? Status() : Stored(register);
        }

        private uint Stored(Registers register)
        {
            return (long)register < RegisterBytes ? registers[(long)register / 4] : 0;
        }

        private void Store(Registers register, uint value)
        {
            if((long)register < RegisterBytes)
            {
                registers[(long)register / 4] = value;
            }
        }

        private short[] samples;
        private long position;
        private uint enabled; // STATUS' bits: receiver, transmitter, master
        private bool running;
        private int slots;
        private ulong frameCycles;

        private readonly uint[] registers;
        private readonly List<Word> fifo;
        private readonly LimitTimer timer;

        private static readonly ulong[] SlotBits = { 32, 32, 32, 32, 32, 16, 16, 8 };

        private const int RegisterBytes = 0x80;
        private const long AliasBytes = 0x1000;
        private const int FifoWords = 2;
        private const int BatchFrames = 16;
        private const uint EnabledRx = 1u << 0;
        private const uint EnabledMaster = 1u << 2;
        private const uint ControlSync = 1u << 0;
        private const uint CommandClearRx = 1u << 11;
        private const uint I2sEnable = 1u << 0;
        private const uint I2sMono = 1u << 1;
        private const uint I2sDmaSplit = 1u << 3;
        private const uint I2sDelay = 1u << 4;
        private const uint FlagRxData = 1u << 2;
        private const uint FlagRxFull = 1u << 3;
        private const uint FlagRxOverflow = 1u << 4;
        private const uint ReceiveFlags = 0x73C;
        private const uint StatusTxBufferLow = 1u << 6;
        private const uint StatusTxIdle = 1u << 13;
        private const uint StatusRxLeft = 1u << 7 | 1u << 8;
        private const uint StatusRxRight = 1u << 11 | 1u << 12;

        private struct Word
        {
            public uint Value;
            public bool Right;
        }

        private enum Registers : long
        {
            IpVersion = 0x000,
            Enable = 0x004,
            Control = 0x008,
            Frame = 0x00C,
            Command = 0x014,
            Status = 0x018,
            ClockDivider = 0x01C,
            RxDataX = 0x020,
            RxData = 0x024,
            RxDoubleX = 0x028,
            RxDouble = 0x02C,
            RxDataXPeek = 0x030,
            RxDoubleXPeek = 0x034,
            InterruptFlags = 0x048,
            InterruptEnable = 0x04C,
            I2sControl = 0x054,
        }
    }
}
